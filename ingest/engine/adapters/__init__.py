"""Adapters: one file per architecture says where its parts are, in the terms of `anatomy`.

anatomy   the parts of a decoder-only transformer, linear once attention patterns and norm scales are frozen
llama     Llama, Mistral, Qwen 2, Qwen 3 and gpt-oss
gemma     Gemma 2 and the text-only Gemma 3
gpt       GPT-2 and GPT-NeoX
queries   how an attention module computes its scores from queries and keys
"""
