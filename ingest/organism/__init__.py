"""The bundled model: how its corpus is made, and how the model and its transcoders are trained and measured.

| file | what it has |
|---|---|
| `families/` | the corpus: one file for each prompt family |
| `corpus`, `tokenizer` | all families together, training batches, and the tokenizer |
| `train`, `gates` | training of the language model, and the intermediate steps that it is taught |
| `transcoder` | training of the cross-layer transcoder, by the general trainer |
| `evaluate`, `agreement` | accuracy of the model, and quality of the transcoder |
| `prompts` | the choice of the bundled prompts (`prompts.jsonl`) |
| `weights` | paths of the model, its transcoders and prompts |

README.md is the model card. `python -m ingest.organism` runs these steps.
"""
