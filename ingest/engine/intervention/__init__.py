"""Interventions: the real model with features set to other values, or with components ablated.

edits       what an edit of a feature asks for, at each position of a prompt
intervene   the model under edits: logits and features that changed
generate    greedy text generation under edits
hold        one forward pass in which chosen parts are held at recorded values
measure     the measured effect of ablating a node, to compare with the edges of a graph
ablate      attention heads, attention layers and MLPs switched off
streams     what each node writes to the residual stream, carried through the frozen model
"""
