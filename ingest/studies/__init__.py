"""Studies: questions about a model, answered by circuits and causal tests over many prompts.

| file | what it has |
|---|---|
| one file for each study | the question, the concepts, the trials and the numbers of the study |
| `all` | the list of all studies |
| `tools.study` | `Study` and `StudyResult`: what a study is and what it returns |
| `tools.prompts`, `tools.items` | the prompts of a study, their splits, and what a study needs of them |
| `tools.concepts` | the rule that finds the features of a concept |
| `tools.trials` | swaps of concepts with a success rate, and their null |
| `tools.graphs` | attribution graphs of prompts, and paths through them |
| `tools.behaviour` | whether a model refuses or declines at all, without edits |
| `tools.supernodes` | the supernodes of the atlas, to edit them as a whole |
| `tools.checkpoints` | comparisons of the checkpoints of a training run |

How to add a study, here `my-study`:

1. Copy `diagnosis.py`, the shortest study that swaps a concept, to `my_study.py`. For a study without edits
   copy `components.py`.
2. Write `run(model, prompts) -> StudyResult`. Form concepts on `forming`, choose settings on `development`
   and measure once on `held_out` (`prompts.splits`). `tools.trials.rates` chooses and measures, with a null.
3. End the file with `STUDY = Study(name, title, question, run, needs)`. The name is `my-study`. `Needs` says
   which family and tags the prompts must have, so that the study runs on other models, too.
4. Add the module to the list in `all.py`. `atlas study list` then shows the study.
5. Write a query that asks the atlas the same question: `atlas/questions/study_my_study.graphql`.
6. Prompts: the bundled corpus has those of `ingest/organism/families/`. Other prompts are a file for
   `atlas study run my-study --prompts FILE`; docs/studies/prompts.md describes its lines.
7. Page: write `docs/studies/my-study.md` with two lines: `<!-- measured: begin -->` and
   `<!-- measured: end -->`. `atlas study run my-study --results docs/studies/results --pages docs/studies`
   writes the tables and the figure `my-study.svg` between them. Rates, curves and effects have figures
   already; another kind of figure goes into `atlas/studies/figures.py`.
8. Test the study in `tests/ingest/studies/test_studies.py` on the bundled model with a few prompts.
"""
