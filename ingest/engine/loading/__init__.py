"""Finds what `--model` names, checks it, and loads it through transformers.

files    where the model lies, what it is called, and which files say which model it is
gguf     models in GGUF files, dequantised once into a cache
"""
