"""Loading models and transcoders, tokenizing prompts, and what each bad input is told."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import OPTConfig, OPTForCausalLM

from ingest.engine.errors import FitError, FormatError, ModelError, PromptError, SettingError
from ingest.engine.replacement.model import ARCHITECTURES, ReplacementModel
from ingest.engine.transcoders.formats import recognise
from tests.support.engine import PROMPT, Folders, Tiny, random_llama, save, save_clt, tokenizer


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return save(Tiny(), tmp_path)


@pytest.fixture
def model(folders: Folders) -> ReplacementModel:
    return ReplacementModel.load(*folders)


def test_what_was_loaded(model: ReplacementModel, folders: Folders) -> None:
    assert (model.architecture, model.n_layers, model.d_model, model.vocab_size) == (
        "LlamaForCausalLM",
        3,
        16,
        40,
    )
    found = model.transcoders
    assert (found.kind, found.activation, found.n_features, found.read_at, found.write_at) == (
        "clt",
        "jumprelu",
        12,
        "mlp.hook_in",
        "hook_mlp_out",
    )
    assert (found.name, found.model_name) == ("clt", "tiny")
    assert [layer.n_written for layer in found.layers] == [3, 2, 1]
    assert {path.name for path in found.files} == {path.name for path in folders.transcoders.iterdir()}
    assert repr(model) == (
        "ReplacementModel(tiny, n_layers=3, transcoders='clt', device=cpu, dtype=torch.float32)"
    )


def test_transcoders_saved_in_16_bits_compute_in_32(tmp_path: Path) -> None:
    found = recognise.read(save(Tiny(half=True), tmp_path).transcoders)
    assert found.layers[0].encoder.dtype == torch.float32
    assert found.layers[0].decoder.dtype == torch.bfloat16
    rows = found.decoder_rows(1, torch.tensor([3, 0]), torch.float32)
    assert (tuple(rows.shape), rows.dtype) == ((2, 2, 16), torch.float32)
    assert torch.equal(rows[0], found.layers[1].decoder[3].float())


def test_a_prompt_gets_the_special_first_token(model: ReplacementModel) -> None:
    found = model.encode("w0 w36")
    assert (found.ids, found.tokens, found.n_left_out) == ((0, 3, 39), ("<bos>", "w0", "w36"), 1)
    assert model.encode("<bos> w0 w36") == found
    assert model.encode([3, 39]) == found
    assert model.encode([0, 3, 39]) == found


def test_a_tokenizer_without_special_tokens_puts_none(tmp_path: Path) -> None:
    found = ReplacementModel.load(*save(Tiny(special=False), tmp_path)).encode("w0 w36")
    assert (found.ids, found.n_left_out) == ((3, 39), 0)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("", "The prompt is empty\n  → give at least one token to attribute from"),
        (" \n ", "The prompt is empty\n  → give at least one token to attribute from"),
        ([], "The prompt is empty\n  → give at least one token to attribute from"),
        ("<bos>", "The prompt is empty\n  → give at least one token to attribute from"),
        (
            "w1 " * 17,
            "The prompt has 18 tokens and the model takes at most 16\n  → shorten it to 16 tokens",
        ),
        (
            "w1 zebra w2 yak zebra",
            "The tokenizer does not know 'zebra', 'yak'\n  → use words of its vocabulary; tokenizer.json in "
            "the model's folder lists them",
        ),
        (
            [0, 3, 40],
            "Token id 40 at position 2 is outside the vocabulary of 40 tokens\n  → use ids from 0 to 39, "
            "made by the model's own tokenizer",
        ),
        (
            [-1],
            "Token id -1 at position 0 is outside the vocabulary of 40 tokens\n  → use ids from 0 to 39, "
            "made by the model's own tokenizer",
        ),
        (
            "w1 \ud800",
            "The prompt contains half a character (a lone surrogate) at place 3\n  → save the prompts as "
            "valid UTF-8",
        ),
    ],
)
def test_a_prompt_that_cannot_be_attributed_says_why(
    model: ReplacementModel, prompt: str | list[int], message: str
) -> None:
    with pytest.raises(PromptError) as caught:
        model.encode(prompt)
    assert str(caught.value) == message


def test_the_unknown_token_written_on_purpose_is_no_error(model: ReplacementModel) -> None:
    assert model.encode("w1 <unk>").ids == (0, 4, 1)


def test_a_folder_without_a_model_says_so(tmp_path: Path, folders: Folders) -> None:
    with pytest.raises(ModelError, match=r"contains no model: it has no config\.json"):
        ReplacementModel.load(tmp_path / "none", folders.transcoders)


def test_a_model_without_weights_says_so(folders: Folders) -> None:
    (folders.model / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lm cannot be loaded: (.|\n)*check that weights, config.json"):
        ReplacementModel.load(*folders)


def test_a_model_with_damaged_weights_says_so(folders: Folders) -> None:
    (folders.model / "model.safetensors").write_bytes(b"{}" * 20_000)
    with pytest.raises(ModelError, match=r"lm cannot be loaded: "):
        ReplacementModel.load(*folders)


def test_a_tensor_that_the_model_lacks_is_named(folders: Folders) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    path = folders.model / "model.safetensors"
    tensors = {key: tensor for key, tensor in load_file(path).items() if key != name}
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"lacks 1 of the model's tensors; the first is {name}"):
        ReplacementModel.load(*folders)


def test_a_device_that_is_not_there_says_so(folders: Folders) -> None:
    with pytest.raises(SettingError, match=r"The device nowhere cannot be used here(.|\n)*→ use cpu"):
        ReplacementModel.load(*folders, device="nowhere")


def test_a_number_format_for_no_weights_says_so(folders: Folders) -> None:
    for name in ("int8", "nothing", "float"[:0]):
        with pytest.raises(SettingError, match=r"There is no number format .* for weights"):
            ReplacementModel.load(*folders, dtype=name)


def test_device_and_number_format_are_given_as_text(folders: Folders) -> None:
    found = ReplacementModel.load(*folders, device="auto", dtype="bfloat16")
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
    assert (found.device.type, found.dtype) == (expected, torch.bfloat16)


def test_an_unknown_architecture_says_which_are_known(folders: Folders) -> None:
    config = OPTConfig(vocab_size=40, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, ffn_dim=8)
    with pytest.raises(ModelError) as caught:
        ReplacementModel.build(OPTForCausalLM(config), tokenizer(Tiny()), recognise.read(folders.transcoders))
    assert str(caught.value) == (
        "There is no adapter for the architecture OPTForCausalLM\n  → use one of: " + ", ".join(ARCHITECTURES)
    )


def test_numbers_that_overflow_say_so(folders: Folders) -> None:
    llama = random_llama(Tiny())
    with torch.no_grad():
        llama.lm_head.weight.fill_(3e38)
    llama.set_attn_implementation("eager")
    model = ReplacementModel.build(llama, tokenizer(Tiny()), recognise.read(folders.transcoders))
    with pytest.raises(ModelError, match=r"logits are not finite in torch.float32"):
        model.freeze(model.encode(PROMPT).ids)


@pytest.mark.parametrize(
    ("tiny", "message"),
    [
        (
            Tiny(n_layers=2),
            "The transcoders other replace layers 0 … 1, but those of the LlamaForCausalLM are 0 … 2\n  "
            "→ give the transcoders that were trained on this model",
        ),
        (
            Tiny(d_model=8),
            "Layer 0 of the transcoders other does not fit: W_enc_0 is 12 × 8, but the LlamaForCausalLM "
            "needs 12 × 16\n  → give the transcoders that were trained on this model",
        ),
        (
            Tiny(read_at="hook_q"),
            "The transcoders other read at hook_q, which a LlamaForCausalLM does not have\n  → use "
            "transcoders that read at one of: mlp.hook_in, hook_resid_mid, ln2.hook_normalized",
        ),
    ],
)
def test_transcoders_of_another_model_say_what_does_not_fit(
    tiny: Tiny, message: str, folders: Folders, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    save_clt(tiny, other)
    with pytest.raises(FitError) as caught:
        ReplacementModel.load(folders.model, other)
    assert str(caught.value) == message


def rewrite(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def configure(folder: Path, **keys: object) -> None:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | keys))


def narrow(clt: Path) -> None:
    """Make the last layer one of a narrower model."""
    encoder = {"W_enc_2": torch.zeros(12, 8), "b_dec_2": torch.zeros(8)}
    rewrite(clt / "W_enc_2.safetensors", lambda tensors: tensors.update(encoder))
    rewrite(clt / "W_dec_2.safetensors", lambda tensors: tensors.update(W_dec_2=torch.zeros(12, 1, 8)))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no configuration": (lambda clt: (clt / "config.yaml").unlink(), "clt has no config.yaml"),
    "not YAML": (
        lambda clt: (clt / "config.yaml").write_text("a: [1"),
        "config.yaml cannot be read as YAML: while parsing a flow sequence",
    ),
    "no keys": (lambda clt: (clt / "config.yaml").write_text("3"), "config.yaml holds no keys"),
    "another kind": (
        lambda clt: configure(clt, model_kind="lorsa"),
        "config.yaml says model_kind: lorsa, which cannot be read",
    ),
    "another activation": (
        lambda clt: configure(clt, activation="topk"),
        "config.yaml says activation: topk, which a cross_layer_transcoder cannot have",
    ),
    "no decoder": (lambda clt: (clt / "W_dec_1.safetensors").unlink(), "clt has no W_dec_1.safetensors"),
    "a gap": (lambda clt: (clt / "W_enc_1.safetensors").unlink(), "clt has no W_enc_1.safetensors"),
    "no files": (
        lambda clt: [shutil.move(path, clt.parent) for path in clt.glob("W_*")],
        "clt holds no transcoders in a known format",
    ),
    "not safetensors": (
        lambda clt: (clt / "W_dec_2.safetensors").write_bytes(b"{}"),
        "W_dec_2.safetensors is damaged: ",
    ),
    "a tensor is missing": (
        lambda clt: rewrite(clt / "W_enc_1.safetensors", lambda tensors: tensors.pop("b_dec_1")),
        "W_enc_1.safetensors has no tensor b_dec_1",
    ),
    "a bias of another width": (
        lambda clt: rewrite(
            clt / "W_enc_1.safetensors", lambda tensors: tensors.update(b_enc_1=torch.zeros(5))
        ),
        "W_enc_1.safetensors: b_enc_1 is 5 where 12 is expected",
    ),
    "a decoder of another depth": (
        lambda clt: rewrite(
            clt / "W_dec_0.safetensors", lambda tensors: tensors.update(W_dec_0=torch.zeros(12, 2, 16))
        ),
        "W_dec_0.safetensors: W_dec_0 is 12 × 2 × 16 where 12 × 3 × 16 is expected",
    ),
    "thresholds here and there": (
        lambda clt: rewrite(clt / "W_enc_0.safetensors", lambda tensors: tensors.pop("threshold_0")),
        "clt has thresholds for some layers and not for others",
    ),
    "numbers that are not finite": (
        lambda clt: rewrite(clt / "W_enc_0.safetensors", lambda tensors: tensors["b_dec_0"].fill_(torch.nan)),
        "W_enc_0.safetensors: b_dec_0 holds numbers that are not finite",
    ),
    "whole numbers": (
        lambda clt: rewrite(
            clt / "W_enc_0.safetensors", lambda tensors: tensors.update(b_dec_0=torch.zeros(16).long())
        ),
        "W_enc_0.safetensors: b_dec_0 holds int64 where floating point numbers are expected",
    ),
    "layers of several widths": (
        narrow,
        "clt has layers for models of width 8 and 16",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_bad_transcoder_folder_says_what_is_wrong(
    damage: tuple[Callable[[Path], object], str], folders: Folders
) -> None:
    spoil, message = damage
    spoil(folders.transcoders)
    with pytest.raises(FormatError) as caught:
        ReplacementModel.load(*folders)
    assert message in caught.value.what
    assert caught.value.next_step


def test_a_missing_transcoder_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="There is no transcoder folder"):
        recognise.read(tmp_path / "none")


def test_another_token_can_be_put_first(model: ReplacementModel) -> None:
    found = model.encode("w0 w36", first_token="w5")
    assert (found.ids, found.n_left_out) == ((8, 3, 39), 1)
    assert model.encode("w5 w0 w36", first_token="w5") == found
    assert model.encode("<bos> w0", first_token="w5").ids == (0, 3)
    assert (model.first_token(), model.first_token("none"), model.first_token("w5")) == (0, None, 8)
    with pytest.raises(SettingError, match="'w1 w2' is 2 tokens, not one"):
        model.encode("w0", first_token="w1 w2")


def test_positions_that_transcoders_of_a_chat_model_never_saw_are_left_out(folders: Folders) -> None:
    config = folders.transcoders / "config.yaml"
    config.write_text(config.read_text().replace("tiny", "google/gemma-3-1b-it"))
    model = ReplacementModel.load(*folders)
    assert model.encode("w0 w1 w2 w3 w4").n_left_out == 4
    assert model.encode("w0").n_left_out == 2
    assert model.encode("w0", first_token="counted").n_left_out == 0


def test_a_message_gets_the_chat_template_and_no_special_token_twice(model: ReplacementModel) -> None:
    with pytest.raises(SettingError, match="has no chat template that can be used"):
        model.chat("w0")
    model.tokenizer.chat_template = (
        "{{ bos_token }}{% for each in messages %} w7 {{ each.content }} w8{% endfor %}"
        "{% if add_generation_prompt %} w9{% endif %}"
    )
    assert model.encode(model.chat("w0 w36")).tokens == ("<bos>", "w7", "w0", "w36", "w8", "w9")
    model.tokenizer.chat_template = "{{ raise_exception('only Latin') }}"
    with pytest.raises(SettingError, match="only Latin"):
        model.chat("w0")
