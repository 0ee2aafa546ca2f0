"""What a circuit is, and sums over one circuit. Pure: no database, no torch.

records       the records: Circuit, Node, Edge, Prompt, Model, TranscoderSet, Label, Supernode …
attention     records of what attention heads do
canonical     one order for the parts of a circuit, and a hash of its graph
influence     influence summed by layer and by stage
flow          the rows that sums over paths need
token_paths   the contribution of each token to each logit over all paths
predictions   what the pruned graph predicts for edited features
edit_grammar  how edits of features are written
"""
