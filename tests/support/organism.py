"""The bundled model, its tokenizer and its prompts, each loaded once."""

import json
from functools import cache

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH

NAMES = {
    "multi-step",
    "arithmetic",
    "multilingual",
    "poetry",
    "medical",
    "entities",
    "refusals",
    "chain-of-thought",
}


@cache
def model():
    loaded = AutoModelForCausalLM.from_pretrained(MODEL_DIR, dtype=torch.float32, attn_implementation="eager")
    return loaded.eval()


@cache
def tokenizer():
    return AutoTokenizer.from_pretrained(MODEL_DIR)


@cache
def prompts():
    return [json.loads(line) for line in PROMPTS_PATH.read_text(encoding="utf-8").splitlines()]
