"""Finds what `--model` names, checks it, and loads it through transformers.

files    where the model lies, what it is called, and which files say which model it is
checks   what is wrong with a folder, before transformers reads it
gguf     models in GGUF files, dequantised once into a cache
hashes   hashes of large files, kept until a file changes
"""
