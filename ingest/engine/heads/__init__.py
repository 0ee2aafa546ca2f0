"""Attention heads: the part of each edge that a head carries, and the reasons for its attention.

loadings   splits each edge into the parts that the heads of each layer carry
qk         splits a head's attention scores into pairs of sources (QK attributions)
"""
