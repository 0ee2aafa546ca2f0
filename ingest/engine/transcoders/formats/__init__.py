"""Transcoders as they lie on disk.

recognise       chooses the reader; the way in
circuit_tracer · gemma_scope · sparsify     one reader a format
tensors         what readers share;   hub   files of the Hugging Face hub and its cache
"""
