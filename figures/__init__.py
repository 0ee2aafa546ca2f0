"""Figures, each drawn from the answer to one GraphQL question and from nothing else."""
