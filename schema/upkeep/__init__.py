"""Keeps a stored atlas in order.

migrations      bring a database to the version that the code needs
delete          delete circuits, runs and models with their share of every aggregate
check           find inconsistencies and repair them
scan            finds in bulk what `check` compares one by one; `columns` has its arithmetic
rules           the states that `check` looks for
recompute       the aggregates recomputed from the stored nodes and edges
stats           count what a database holds
canonical_dump  a dump by which two databases are compared
"""
