"""Readers of transcoder files, one per format.

recognise        the entry point: finds the files, recognises their format and calls its reader
circuit_tracer   sets per layer and cross-layer sets of circuit-tracer
gemma_scope      Gemma Scope 1 and 2
sparsify         transcoders trained with sparsify
sae_lens         transcoders trained with SAELens
crosslayer_coding  cross-layer sets trained with crosslayer-coding
tensors          what the readers share: opening a file, checking a tensor, building a transcoder
hub              files of the Hugging Face hub and its cache
"""
