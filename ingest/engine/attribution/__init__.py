"""Attribution graphs: from a prompt to the nodes and edges that are kept.

attribute   the algorithm, step by step, and its entry points
targets     what is attributed: logits of tokens, differences of logits, or directions
walk        the backward pass through the frozen model, which computes the direct effects
graph       the attribution graph: its nodes, and its edges as one matrix
prune       influence, pruning, and the replacement and completeness scores
select      the choice of the most influential features when their number is limited
budget      the memory that attribution may take
rows        the rows of one prompt's targets, computed on demand
streamed    a graph whose matrix is too large to be held
"""
