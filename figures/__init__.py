"""Figures: each is drawn from the answer to one GraphQL question and from nothing else.

chart         the type `Chart`: a question and the function that draws its answer
all           every figure by its name
supernodes    the supernodes of one circuit and their effects on each other
tokens        the effects of the input tokens of one circuit on its logits
flow          the influence that each stage of a circuit carries, by its origin
heads         the attention heads that the circuits of each family use
components    heads by family, claimed and measured; attention compared with MLPs
modules       the communities of features that each family uses
labels        the scores of labels, compared with their null
diagnostics   what graphs claim of features, compared with what ablation measures
claims        predicted and measured effects of the claims in the ledger
hypotheses    the results of the tested hypotheses
"""
