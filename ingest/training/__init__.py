"""Trains transcoders for any supported model, and measures how well they replace its MLPs.

texts        texts to contexts: token ids of bounded length
activations  inputs and outputs of every MLP on contexts, in files on disk
scale        means and sizes of activations, and weights that keep outliers from ruling a fit
trainer      the steps of training: one group of layers whose features compete
run          the whole training: resumable, with bounded memory
replace      the model with its MLPs replaced by transcoders
measure      FVU, L0, dead features and density by layer; agreement of the replacement model
"""
