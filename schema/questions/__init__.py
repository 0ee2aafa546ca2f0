"""Questions to the database: one Cypher file each, and the type of its rows.

    circuits     lists of circuits, their prompts, families and settings, two circuits compared
    features     lists of features, their circuits, positions, families, examples, nearest features
    graph        the nodes, direct effects and features of one circuit, and its whole graph
    flow         influence between stages of the model, and the graph that sums over paths need
    sets         sets of circuits: shared features, contrasts, similar circuits, presence
    structure    recurring effects, paths, motifs, hubs, specificity
    supernodes   supernodes, their versions and effects, ways of grouping
    labels       labels of features, their evidence, similar labels
    heads        attention heads of one circuit or of a family
    modules      communities of features
    checkpoints  checkpoints of a training run
    search       texts that contain words
    audit        error shares: which circuits should not be trusted
    runs, jobs   runs, transcoder sets, and requests for circuits
    question     what a question is, and how it is asked

Claims, hypotheses and ablations have their questions in `schema.evidence`.

To add a question:

1. Copy `cypher/labels/labels_of_feature.cypher` to `cypher/NOUN/NAME.cypher`, and edit it.
2. Add its row type (the columns of RETURN) and `NAME = Question("name", row_of(Row))` to `NOUN.py`.
3. Run `make answers`, which writes the sample answer, and `tests/schema/questions/test_rows.py`.
4. Copy a file in `api/questions`, list its class in `api/query.py`, and add a query to
   `docs/questions/questions.graphql`.
5. Run `make docs`, which writes the schema and the pages.
"""
