"""The replacement model: a language model whose MLPs are read as transcoder features plus an error.

model     loading a model with its transcoders, tokenizing prompts, freezing the model on a prompt
record    the forward pass that records what attribution holds fixed
passes    batches of forward passes in bounded memory
firings   where features fire in texts, and nothing else
memory    smaller batches where a batch does not fit into the memory of a device
precise   forward passes of float64 models without rounding to float32
"""
