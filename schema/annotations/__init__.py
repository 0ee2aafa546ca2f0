"""Writes what people and programs add to circuits that are stored.

    labels       labels of features, with their scores and evidence
    notes        labels, examples and promoted tokens from feature files or a corpus
    vectors      vectors of features and labels, for the search for neighbours
    supernodes   supernodes of people, kept in versions
    roles        supernodes of the method that groups features by role
    modules      communities of features; communities finds them in a graph
    checkpoints  checkpoints of a training run, and the features that they have in common
    measured     how well transcoders replace the MLPs of their model
    tags         tags of prompts

`schema.questions` reads all of it.
"""
