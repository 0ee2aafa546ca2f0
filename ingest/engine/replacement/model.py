"""The replacement model: a language model with its transcoders, and its freezing on a prompt.

One class serves every architecture. What differs between architectures is in an `Anatomy`, which an adapter
builds (`ingest.engine.adapters`).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from jinja2 import TemplateError
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from ingest.engine.adapters.anatomy import Anatomy, Norm, wide
from ingest.engine.adapters.gemma import gemma
from ingest.engine.adapters.gpt import gpt2, gpt_neox
from ingest.engine.adapters.llama import llama
from ingest.engine.errors import FitError, ModelError, PromptError, SettingError, shape
from ingest.engine.loading.checks import check_folder, dequantising, mismatch, undescribed
from ingest.engine.loading.files import ModelFiles, find, weights
from ingest.engine.replacement.memory import in_halves
from ingest.engine.replacement.record import Frozen, record
from ingest.engine.replacement.token_texts import token_texts
from ingest.engine.transcoders.formats import recognise
from ingest.engine.transcoders.formats.hub import Hub
from ingest.engine.transcoders.transcoder import TranscoderSet

ARCHITECTURES: Mapping[str, Callable[[Any], Anatomy]] = {
    "GPT2LMHeadModel": gpt2,
    "GPTNeoXForCausalLM": gpt_neox,
    "Gemma2ForCausalLM": gemma,
    "Gemma3ForCausalLM": gemma,
    "GptOssForCausalLM": llama,
    "LlamaForCausalLM": llama,
    "MistralForCausalLM": llama,
    "Qwen2ForCausalLM": llama,
    "Qwen3ForCausalLM": llama,
}
"""The adapter of each architecture, by the name in the model's config.json."""

READ_AT = ("mlp.hook_in", "hook_resid_mid", "ln2.hook_normalized")
"""The places where transcoders may read, by TransformerLens's names; see `TranscoderSet.read_at`."""

WRITE_AT = ("hook_mlp_out", "mlp.hook_out")
"""The places where transcoders may write, by TransformerLens's names; see `TranscoderSet.write_at`."""


BACKENDS = ("sentencepiece", "tiktoken", "protobuf", "mistral-common", "accelerate", "kernels")
"""Packages that some tokenizers and weights need, by their names in transformers' messages."""

MISMATCHED = "ignore_mismatched_sizes"
"""In transformers' message about weights of other sizes than those of the config."""
MESSAGE = 300
"""Characters that are shown of a message of transformers."""

LEFT_OUT, COUNTED, NONE = "left-out", "counted", "none"
"""Treatment of the special token that is put first; any other text is a token to put first in its place.
`left-out`: the token is added, and its features and errors are left out. `counted`: the token is added and
treated as any other token. `none`: no token is added."""

CHAT_START = 4
"""Positions at the start of a prompt on which the transcoders of Gemma 3's chat models were not trained:
`<bos>`, `<start_of_turn>`, `user` and the line end."""


@dataclass(frozen=True)
class Encoded:
    """A prompt in the model's vocabulary."""

    ids: tuple[int, ...]
    """Vocabulary ids, including the special first token."""
    tokens: tuple[str, ...]
    """Each id decoded separately."""
    n_left_out: int
    """Number of positions at the start whose features and errors are left out, because the transcoders were
    not trained on them: the special first token, or more (`CHAT_START`)."""


@dataclass(frozen=True, eq=False, repr=False)
class ReplacementModel:
    """A model whose MLPs can be read as transcoder features plus an error."""

    model: Any
    """The Hugging Face model, with eager attention and in evaluation mode."""
    tokenizer: Any
    anatomy: Anatomy
    transcoders: TranscoderSet
    files: ModelFiles | None
    """The files from which the model was read; None for a model that was made in memory."""
    device: torch.device
    dtype: torch.dtype
    puts_first: str = LEFT_OUT
    """Treatment of the special first token, unless `encode` is told otherwise; see `LEFT_OUT`."""

    @classmethod
    def load(
        cls,
        model_dir: Path | str,
        transcoders_dir: Path | str | None,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | str = torch.float32,
        hub: Hub | None = None,
        cache: Path | None = None,
    ) -> "ReplacementModel":
        """Read a model and its transcoders, each from a local folder or from `hf://org/name[@revision]`.

        device: `auto` is the first GPU, or else the CPU. dtype: also as text, such as `bfloat16`.
        The model may be a GGUF file, which is dequantised once into a folder of `cache`; None is the cache of
        huggingface_hub. transcoders_dir: None for a model without transcoders, on which they are to be
        trained.

        Raises ModelError for a missing folder or an unknown architecture, FormatError for
        unreadable transcoder files, FitError for transcoders of another model, and SettingError for a device
        that this machine does not have.
        """
        hub = hub or Hub()
        device, dtype = _device(device), _dtype(dtype)
        files = find(model_dir, ARCHITECTURES, hub=hub, cache=cache)
        folder = files.folder
        check_folder(folder, weights(folder))
        transcoders = None
        if transcoders_dir is not None:
            transcoders = recognise.read(transcoders_dir, device=device, dtype=dtype, hub=hub)
        try:
            with _quiet():
                loaded: Any = AutoModelForCausalLM.from_pretrained(
                    folder,
                    dtype=dtype,
                    attn_implementation="eager",
                    local_files_only=True,
                    trust_remote_code=False,
                    weights_only=True,
                    output_loading_info=True,
                    **dequantising(folder),
                )
                model, info = loaded
                tokenizer = AutoTokenizer.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=False
                )
        except torch.OutOfMemoryError:
            raise  # Nothing is wrong with the folder.
        except ImportError as error:
            raise ModelError(
                f"{folder} needs a package that is not installed: {_package(error)}",
                next_step=f"pip install {_package(error)}",
            ) from error
        except (
            *(OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError),
            *(UnpicklingError, EOFError, AttributeError, ArithmeticError, StrictDataclassError),
        ) as error:
            if "custom code" in str(error):
                raise ModelError(
                    f"{folder} brings code of its own (`auto_map`), which is never run",
                    next_step=f"use a model of one of these architectures: {', '.join(ARCHITECTURES)}",
                ) from error
            said = " ".join(str(error).split()) or repr(error)
            if MISMATCHED in said and (differs := mismatch(folder, weights(folder))) is not None:
                said = differs
            raise ModelError(
                f"{folder} cannot be loaded: {said[:MESSAGE]}",
                next_step="check that weights, config.json and the tokenizer's files are complete",
            ) from error
        model, info = loaded
        if missing := sorted(info["missing_keys"]):
            raise ModelError(
                f"{folder} lacks {len(missing)} of the model's tensors; the first is {missing[0]}",
                next_step="save or download the model again",
            )
        if beyond := undescribed(info["unexpected_keys"], model.config.num_hidden_layers):
            raise ModelError(
                f"{folder} has weights of layers that config.json leaves out; the first is {beyond[0]}",
                next_step="check that config.json and the weights belong together",
            )
        return cls.build(model, tokenizer, transcoders, files=files, device=device)

    @classmethod
    def build(
        cls,
        model: Any,
        tokenizer: Any,
        transcoders: TranscoderSet | None,
        *,
        files: ModelFiles | None = None,
        device: torch.device | str = "cpu",
    ) -> "ReplacementModel":
        """Join a loaded Hugging Face model (eager attention) with transcoders, or None for no transcoders.

        Raises ModelError for an architecture without an adapter or for weights that are not finite, and
        FitError when the transcoders do not fit the model.
        """
        architecture = type(model).__name__
        adapter = ARCHITECTURES.get(architecture)
        if adapter is None:
            raise ModelError(
                f"There is no adapter for the architecture {architecture}",
                next_step=f"use one of: {', '.join(ARCHITECTURES)}",
            )
        model = model.to(device).eval().requires_grad_(False)
        for name, weight in model.named_parameters():
            # The sum is a fast first check. It may overflow although every number is finite.
            if not weight.sum().isfinite() and not weight.isfinite().all():
                raise ModelError(
                    f"{name} of the {architecture} contains a number that is not finite",
                    next_step="save or download the model again",
                )
        anatomy = adapter(model)
        weight = anatomy.unembedding
        if transcoders is None:
            transcoders = TranscoderSet.none(
                len(anatomy.layers), weight.shape[1], weight.device, weight.dtype
            )
        _check_fit(anatomy, transcoders, architecture)
        return cls(model, tokenizer, anatomy, transcoders, files, weight.device, weight.dtype)

    def __repr__(self) -> str:
        """In one line; that of a dataclass would print every weight."""
        return (
            f"ReplacementModel({self.name or self.architecture}, n_layers={self.n_layers}, "
            f"transcoders={self.transcoders.name!r}, device={self.device}, dtype={self.dtype})"
        )

    @property
    def name(self) -> str:
        """The model's name in its transcoders' configuration, else that of its files."""
        return self.transcoders.model_name or ("" if self.files is None else self.files.name)

    @property
    def architecture(self) -> str:
        return type(self.model).__name__

    @property
    def n_layers(self) -> int:
        return len(self.anatomy.layers)

    @property
    def d_model(self) -> int:
        return self.anatomy.unembedding.shape[1]

    @property
    def vocab_size(self) -> int:
        return self.anatomy.unembedding.shape[0]

    def putting_first(self, chosen: str) -> "ReplacementModel":
        """The same model with another treatment of the special first token; see `LEFT_OUT`.

        Raises SettingError for a text that is not exactly one token.
        """
        self.first_token(chosen)
        return replace(self, puts_first=chosen)

    def encode(self, prompt: "str | Sequence[int] | Encoded", *, first_token: str | None = None) -> Encoded:
        """Tokenize a prompt and add the special first token when the tokenizer has one.

        Text or ids that already begin with a special token get no second one. A prompt that is encoded
        already, perhaps with another first token, stays as it is. first_token: see `LEFT_OUT`; None for that
        of the model (`putting_first`). Raises PromptError for a prompt that is empty, too long, or has tokens
        outside the vocabulary; SettingError for a first token that is no token.
        """
        if isinstance(prompt, Encoded):
            return prompt
        if first_token is None:
            first_token = self.puts_first
        first = self.first_token(first_token)
        ids = self._text_ids(prompt) if isinstance(prompt, str) else [int(token) for token in prompt]
        unknown = [(place, token) for place, token in enumerate(ids) if not 0 <= token < self.vocab_size]
        if unknown:
            place, token = unknown[0]
            raise PromptError(
                f"Token id {token} at position {place} is outside the vocabulary of {self.vocab_size} tokens",
                next_step=f"use ids from 0 to {self.vocab_size - 1}, made by the model's own tokenizer",
            )
        special = set(self.tokenizer.all_special_ids)
        if not ids or (len(ids) == 1 and ids[0] in special):
            raise PromptError("The prompt is empty", next_step="give at least one token to attribute from")
        if first is not None:
            special.add(first)
            if ids[0] not in special:
                ids = [first, *ids]
        if len(ids) > self.anatomy.context:
            raise PromptError(
                f"The prompt has {len(ids)} tokens and the model takes at most {self.anatomy.context}",
                next_step=f"shorten it to {self.anatomy.context} tokens",
            )
        n_left_out = 0
        if first_token not in (COUNTED, NONE) and ids[0] in special:
            n_left_out = min(self._untrained, len(ids))
        return Encoded(tuple(ids), self.decode_all(ids), n_left_out)

    def chat(self, message: str) -> str:
        """A message of a user in the form in which a chat model was trained, ready for the model's answer.

        The text contains the special tokens, so that `encode` adds none. Raises SettingError when the
        tokenizer has no chat template, or one that cannot be used.
        """
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    [{"role": "user", "content": message}], tokenize=False, add_generation_prompt=True
                )
            )
        except (ValueError, TypeError, TemplateError) as error:
            raise SettingError(
                f"The tokenizer of {self.name or self.architecture} has no chat template that can be used: "
                f"{str(error).splitlines()[0]}",
                next_step="leave out --chat, or name the model's instruction-tuned version",
            ) from error

    def decode(self, token: int) -> str:
        """The text of one vocabulary id; see `ingest.engine.replacement.token_texts`."""
        return token_texts(self.tokenizer, [token])[0]

    def decode_all(self, ids: Sequence[int]) -> tuple[str, ...]:
        """The text of each token of a prompt, where bytes of a split character are shown as parts of it."""
        return token_texts(self.tokenizer, ids)

    def token_id(self, token: int | str) -> int:
        """The vocabulary id of one token, given as its id or its text.

        Raises SettingError for an id outside the vocabulary or a text that is not exactly one token.
        """
        if isinstance(token, int):
            if not 0 <= token < self.vocab_size:
                raise SettingError(
                    f"The token {token} is outside the vocabulary of {self.vocab_size} tokens",
                    next_step=f"give an id from 0 to {self.vocab_size - 1}",
                )
            return token
        ids = [int(one) for one in self.tokenizer(token, add_special_tokens=False)["input_ids"]]
        unknown = self.tokenizer.unk_token_id
        if len(ids) == 1 and (ids[0] != unknown or token == self.tokenizer.unk_token):
            return ids[0]
        if len(ids) == 1:
            raise SettingError(
                f"The tokenizer does not know the token {token!r}", next_step="use a word of its vocabulary"
            )
        pieces = " ".join(repr(self.decode(one)) for one in ids) or "none"
        raise SettingError(
            f"{token!r} is {len(ids)} tokens, not one: {pieces}",
            next_step="give one of these tokens; often the model's next token is the first of them, with its "
            "leading space",
        )

    def freeze(self, ids: Sequence[int]) -> Frozen:
        """Run the model on a prompt and record what attribution needs.

        ids: vocabulary ids. Raises ModelError when the logits are not finite.
        """
        return self.freeze_many([ids])[0]

    def freeze_many(self, prompts: Sequence[Sequence[int]]) -> list[Frozen]:
        """Freeze the model on several prompts in one pass, which is faster; see `freeze`.

        Prompts of similar length are fastest.
        """
        frozen = in_halves(
            prompts,
            lambda part: record(self.model, self.anatomy, part, self.device),
            self.device,
            lambda prompt: self.too_long(len(prompt)),
        )
        for one in frozen:
            if not (one.final.isfinite().all() and one.logits_at(-1).isfinite().all()):
                raise self._not_finite(_overflowed(one))
        return frozen

    def too_long(self, n_tokens: int) -> ModelError:
        """The error of a prompt that does not fit into the device's memory even alone."""
        return ModelError(
            f"One prompt (tokens: {n_tokens}) exceeds the memory of {self.device}",
            next_step="shorten the prompt, or use --device cpu or --dtype bfloat16",
        )

    def not_finite(self, prompts: Sequence[Sequence[int]]) -> ModelError:
        """The error of prompts whose logits are not finite. It names the layer where this begins."""
        try:
            self.freeze_many(prompts)
        except ModelError as error:
            return error
        return self._not_finite("")

    def _not_finite(self, where: str) -> ModelError:
        return ModelError(
            f"The model's logits are not finite in {self.dtype}{where}", next_step="use --dtype float32"
        )

    def read(self, frozen: Frozen) -> Tensor:
        """(n_layers, n_positions, d_model): the input of each layer's transcoder."""
        norms = (layer.mlp_norm for layer in self.anatomy.layers)
        seen = zip(norms, frozen.mlp_norm_input, frozen.mlp_norm_output, frozen.mlp_scale, strict=True)
        return torch.stack([self.transcoder_input(*each) for each in seen])

    def transcoder_input(
        self, norm: Norm, before: Tensor, after: Tensor, scale: Tensor | None = None
    ) -> Tensor:
        """A transcoder's input (…, d_model), in at least 32 bits, from the norm before the MLP.

        before: input of the norm. after: its output. scale: its held scale; None for the scale of this input.
        """
        match self.transcoders.read_at:
            case "hook_resid_mid":
                return wide(before)
            case "ln2.hook_normalized":
                return norm.centre(wide(before)) * (norm.scale(before) if scale is None else scale)
            case _:
                return wide(after)

    def read_backward(self, layer: int, encoder: Tensor, scale: Tensor) -> Tensor:
        """Gradients (n, d_model) before the norm of a layer's MLP, from encoder vectors of the layer.

        encoder: (n, d_model). scale: (n, 1), the norm's frozen scale at each feature's position.
        """
        match self.transcoders.read_at:
            case "hook_resid_mid":
                return encoder
            case "ln2.hook_normalized":
                return self.anatomy.layers[layer].mlp_norm.centre(encoder * scale)
            case _:
                return self.anatomy.layers[layer].mlp_norm.backward(encoder, scale)

    def base(self, layer: int, frozen: Frozen) -> Tensor:
        """What a layer's transcoder writes in addition to features: its bias and its skip connection.

        The shape is (d_model,), or (n_positions, d_model) with a skip connection.
        """
        part = self.transcoders.layers[layer]
        return part.decoder_bias if part.skip is None else part.base(self.read(frozen)[layer])

    def skip_forward(self, layer: int, change: Tensor, scale: Tensor) -> Tensor:
        """What the skip connection of a layer adds to changes of the stream before the MLP's norm.

        change: (…, d_model). scale: (…, 1), the frozen scale of the norm. The result is a single 0 without a
        skip connection.
        """
        skip = self.transcoders.layers[layer].skip
        if skip is None:
            return change.new_zeros(())
        norm = self.anatomy.layers[layer].mlp_norm
        match self.transcoders.read_at:
            case "hook_resid_mid":
                read = change
            case "ln2.hook_normalized":
                read = norm.centre(change) * scale
            case _:
                read = norm.forward(change, scale)
        return torch.nn.functional.linear(read, skip)

    def skip_backward(self, layer: int, gradient: Tensor, scale: Tensor) -> Tensor:
        """Gradients before the MLP's norm, through the skip connection, from gradients after the MLP.

        gradient: (…, d_model). scale: (…, 1), the frozen scale of the norm. The result is 0 without a skip
        connection.
        """
        skip = self.transcoders.layers[layer].skip
        if skip is None:
            return torch.zeros_like(gradient)
        return self.read_backward(layer, gradient @ skip, scale)

    @property
    def _untrained(self) -> int:
        """Positions at the start on which the transcoders were not trained, when prompts begin as usual."""
        return CHAT_START if re.search(r"gemma-3-.*-it\b", self.name) else 1

    def first_token(self, chosen: str = LEFT_OUT) -> int | None:
        """The token to put first: the tokenizer's bos, else pad, else eos, else any other special token.

        chosen: see `LEFT_OUT`. Raises SettingError when it is a text that is not exactly one token.
        """
        if chosen == NONE:
            return None
        if chosen not in (LEFT_OUT, COUNTED):
            return self.token_id(chosen)
        tokenizer = self.tokenizer
        named = (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id)
        found = [token for token in (*named, *tokenizer.all_special_ids) if token is not None]
        return int(found[0]) if found else None

    def _text_ids(self, prompt: str) -> list[int]:
        try:
            prompt.encode()
        except UnicodeEncodeError as error:
            raise PromptError(
                f"The prompt contains half a character (a lone surrogate) at place {error.start}",
                next_step="save the prompts as valid UTF-8",
            ) from error
        fast = bool(getattr(self.tokenizer, "is_fast", False))
        found = self.tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=fast, verbose=False)
        ids = [int(token) for token in found["input_ids"]]
        unknown = self.tokenizer.unk_token_id
        if unknown is None or unknown not in ids:
            return ids
        if not fast:
            words = [f"the token at position {ids.index(unknown)}"]
        else:
            spans = [
                prompt[a:b] for (a, b), i in zip(found["offset_mapping"], ids, strict=True) if i == unknown
            ]
            words = [repr(word) for word in dict.fromkeys(spans) if word != self.tokenizer.unk_token]
        if words:
            raise PromptError(
                f"The tokenizer does not know {', '.join(words)}",
                next_step="use words of its vocabulary; tokenizer.json in the model's folder lists them",
            )
        return ids


def _overflowed(frozen: Frozen) -> str:
    """Where the first number that is not finite appears."""
    for layer, (attention, mlp) in enumerate(zip(frozen.attention_output, frozen.mlp_output, strict=True)):
        for part, values in (("attention", attention), ("MLP", mlp)):
            if not values.isfinite().all():
                return f"; the first is in the {part} of layer {layer}"
    return ""


def _package(error: ImportError) -> str:
    """The package whose absence made transformers fail. Its messages name it in several ways."""
    text = str(error).lower()
    known = [name for name in BACKENDS if name in text]
    found = re.search(r"no module named '([\w.]+)'", text)
    return known[0] if known else found[1].split(".")[0] if found else str(error).strip().splitlines()[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the progress bars of transformers within the `with` block."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _device(given: torch.device | str) -> torch.device:
    """The device of this name; `auto` is the first GPU, or else the CPU."""
    if given == "auto":
        given = "cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
    try:
        return torch.empty(0, device=given).device
    except (RuntimeError, AssertionError) as error:
        raise SettingError(
            f"The device {given} cannot be used here: {str(error).splitlines()[0]}", next_step="use cpu"
        ) from error


def _dtype(given: torch.dtype | str) -> torch.dtype:
    found = getattr(torch, given, None) if isinstance(given, str) else given
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise SettingError(
            f"There is no number format {given} for weights", next_step="use float32, bfloat16 or float16"
        )
    return found


def _check_fit(anatomy: Anatomy, transcoders: TranscoderSet, architecture: str) -> None:
    n_layers, d_model = len(anatomy.layers), anatomy.unembedding.shape[1]
    remedy = "give the transcoders that were trained on this model"
    if transcoders.n_layers != n_layers:
        raise FitError(
            f"The transcoders {transcoders.name} replace layers 0 … {transcoders.n_layers - 1}, "
            f"but those of the {architecture} are 0 … {n_layers - 1}",
            next_step=remedy,
        )
    if transcoders.write_at == "mlp.hook_out" and any(layer.mlp_post for layer in anatomy.layers):
        raise FitError(
            f"The transcoders {transcoders.name} write at mlp.hook_out, but a {architecture} applies a norm "
            "after this place",
            next_step="use transcoders that write at hook_mlp_out",
        )
    if transcoders.has_skip and any(layer.parallel for layer in anatomy.layers):
        raise FitError(
            f"The transcoders {transcoders.name} have skip connections, which are not supported for a "
            f"{architecture} with parallel residuals",
            next_step="use transcoders without skip connections",
        )
    for number, layer in enumerate(transcoders.layers):
        if layer.encoder.shape[1] != d_model:
            raise FitError(
                f"Layer {number} of the transcoders {transcoders.name} does not fit: W_enc_{number} is "
                f"{shape(layer.encoder.shape)}, but the {architecture} needs "
                f"{shape((layer.n_features, d_model))}",
                next_step=remedy,
            )
    for what, hook, known in (
        ("read at", transcoders.read_at, READ_AT),
        ("write at", transcoders.write_at, WRITE_AT),
    ):
        if hook not in known:
            raise FitError(
                f"The transcoders {transcoders.name} {what} {hook}, which a {architecture} does not have",
                next_step=f"use transcoders that {what} one of: {', '.join(known)}",
            )
