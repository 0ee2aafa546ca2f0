"""Trains the transcoders of a model on texts: resumable, with bounded memory.

1. cut      the contexts into parts whose activations fit the buffer on disk
2. record   the activations of one part (`activations`)
3. train    each group of layers on the part's tokens, in `epochs` different orders; save its state
4. export   the transcoders as circuit-tracer's files, when the last part is done

Everything that is not finished is in a folder beside the output, `OUT.training`. The same command continues
there, and gives the same weights as a command that was not stopped: the order of the tokens depends only on
the seed and on the number of the part. Only one group of layers and one batch are in memory.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import orjson
import torch
from filelock import FileLock, Timeout
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor

from ingest.engine.errors import SettingError
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.engine.transcoders.save import save
from ingest.engine.transcoders.transcoder import Transcoder, TranscoderSet
from ingest.progress import progress
from ingest.training.activations import BYTES, Activations
from ingest.training.texts import positions_counted
from ingest.training.trainer import Schedule, Trainer
from schema.atomic_file import atomic_write
from schema.counted import counted
from schema.errors import InputError

SAMPLE = 8192
"""Tokens from which scales, skip connections and first features are computed."""
SAVE_EVERY = 120.0
"""Seconds after which the state of a group is saved even though its part is not finished."""
RECORD = "training.json"
"""Name of the file, beside config.yaml, with the settings and the last loss of each group."""


@dataclass(frozen=True)
class TrainingSettings:
    """What decides the trained weights."""

    kind: Literal["plt", "clt"] = "plt"
    """`plt`: each layer writes to its own output. `clt`: also to the outputs of later layers."""
    features: int = 2048
    """Features of a layer."""
    l0: float = 32.0
    """Mean number of active features of a token in one layer."""
    skip: bool = False
    """Whether a linear skip connection goes from the input to the output of each layer."""
    epochs: int = 3
    """Times that each token is seen."""
    batch: int = 1024
    """Tokens of one step."""
    buffer: int = 8 * 10**9
    """Bytes of activations on disk at one time. More texts are trained on in parts."""
    seed: int = 0


class Trained(NamedTuple):
    """What a training did."""

    folder: Path
    n_tokens: int
    """Tokens in the texts that counted."""
    steps: int
    """Steps of each group of layers."""
    losses: list[float]
    """Mean loss of each group in its last tenth of steps: about the share of variance that is not explained.
    Outlier tokens count less than in the FVU."""
    resumed: bool
    """Whether the work of an earlier command was continued."""


class TextPart(NamedTuple):
    """Contexts whose activations are on disk together."""

    number: int
    texts: Sequence[Encoded]
    n_tokens: int
    first_step: int
    """Steps of earlier parts."""


def train(
    model: ReplacementModel,
    texts: Sequence[Encoded],
    settings: TrainingSettings,
    out: Path,
    *,
    console: Console,
    stop: Callable[[], object] = lambda: None,
) -> Trained:
    """Train transcoders on contexts and write them to the folder `out`.

    stop: is called after each step; an exception from it ends the work, which the next call continues.

    Raises InputError when `out` holds something else, or work with other settings or texts, when there are
    fewer tokens than features of a layer, or when the disk is too small; SettingError for a setting that does
    not fit the model; FloatingPointError when the loss is not finite.
    """
    _check(model, settings)
    work = _work(out)
    dtype = str(model.dtype).removeprefix("torch.")
    said = asdict(settings) | {"model": model.name, "dtype": dtype, "texts": _fingerprint(texts)}
    if (done := _finished(out, said)) is not None:
        return done
    # 1
    parts = list(_parts(model, texts, settings))
    if (n_tokens := sum(part.n_tokens for part in parts)) < settings.features:
        raise InputError(
            f"{counted(n_tokens, 'token')} are too few for {counted(settings.features, 'feature')} a layer",
            next_step="give longer texts, or fewer --features",
        )
    resumed = _open(work, said, out)
    lock = FileLock(work / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise InputError(
            f"Another command trains in {work}", next_step="wait for it, or give another --out"
        ) from error
    try:
        return _train(model, parts, settings, out, said, resumed, console, stop)
    finally:
        lock.release()


def _train(
    model: ReplacementModel,
    parts: Sequence[TextPart],
    settings: TrainingSettings,
    out: Path,
    said: dict[str, object],
    resumed: bool,
    console: Console,
    stop: Callable[[], object],
) -> Trained:
    work = _work(out)
    groups = (
        [range(model.n_layers)]
        if settings.kind == "clt"
        else [range(i, i + 1) for i in range(model.n_layers)]
    )
    total = sum(_steps(part.n_tokens, settings) for part in parts)
    schedules = [Schedule(total, settings.l0 * len(group)) for group in groups]
    states = [_Saved(work / f"group-{number}.safetensors") for number in range(len(groups))]
    with progress(console) as shown:
        recording = shown.add("activations, in tokens", sum(part.n_tokens for part in parts))
        training = shown.add(
            "training, in steps", total * len(groups), done=sum(state.steps_done for state in states)
        )
        for part in parts:
            last_step = part.first_step + _steps(part.n_tokens, settings)
            if all(state.steps_done >= last_step for state in states):
                recording.advance(part.n_tokens)
                continue
            # 2
            folder = work / f"part-{part.number}"
            _check_disk(work, folder, part.n_tokens * _token_bytes(model))
            activations = Activations(folder, model, part.texts)
            activations.fill(recording.advance)
            # 3
            for group, schedule, state in zip(groups, schedules, states, strict=True):
                if state.steps_done >= last_step:
                    continue
                trainer = state.trainer(model.device)
                if trainer is None:
                    sample = _order(settings.seed, -1, part.n_tokens)[:SAMPLE].sort().values
                    trainer = Trainer(
                        activations.take(group, sample, model.device),
                        settings.features,
                        settings.seed * 1000 + group.start,
                        skip=settings.skip,
                    )
                saved = time.monotonic()
                for tokens in _batches(part, settings, trainer.steps_done - part.first_step):
                    loss = trainer.step(activations.take(group, tokens, model.device), schedule)
                    state.note(loss, trainer.steps_done, total)
                    training.what = _description(group, loss)
                    training.advance()
                    if time.monotonic() - saved > SAVE_EVERY:
                        state.save(trainer)
                        saved = time.monotonic()
                    stop()
                state.save(trainer)
            del activations
            shutil.rmtree(folder)
    # 4
    losses = [state.mean_loss for state in states]
    n_tokens = sum(part.n_tokens for part in parts)
    _export(model, states, out, said | {"n_tokens": n_tokens, "steps": total, "losses": losses})
    shutil.rmtree(work)
    return Trained(out, n_tokens, total, losses, resumed)


def _work(out: Path) -> Path:
    """The folder of unfinished work."""
    return out.with_name(out.name + ".training")


def _check(model: ReplacementModel, settings: TrainingSettings) -> None:
    if settings.skip and any(layer.parallel for layer in model.anatomy.layers):
        raise SettingError(
            f"Skip connections are not supported for a {model.architecture} with parallel residuals",
            next_step="train without a skip connection",
        )
    if not 0 < settings.l0 <= settings.features:
        raise SettingError(
            f"{settings.l0:g} of {counted(settings.features, 'feature')} of a layer cannot be active",
            next_step=f"give a number above 0, and at most {settings.features}",
        )


def _finished(out: Path, said: dict[str, object]) -> Trained | None:
    """What an earlier command with the same settings did, if `out` is complete."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    record = out / RECORD
    if record.is_file() and (out / "config.yaml").is_file():
        kept = orjson.loads(record.read_bytes())
        if all(kept.get(name) == value for name, value in said.items()):
            return Trained(out, kept["n_tokens"], kept["steps"], kept["losses"], True)
        _raise_other(out, kept, said, "give another --out")
    raise InputError(f"{out} is there already", next_step="give the path of a new folder")


def _open(work: Path, said: dict[str, object], out: Path) -> bool:
    """Make or open the working folder. Returns whether it was there."""
    record = work / RECORD
    if record.is_file():
        _raise_other(
            work,
            orjson.loads(record.read_bytes()),
            said,
            f"remove {work} to begin again, or give another --out",
        )
        return True
    if work.exists():
        raise InputError(
            f"{work} is there, but holds no training", next_step=f"remove it, or give another path than {out}"
        )
    work.mkdir(parents=True)
    with atomic_write(record) as path:
        path.write_bytes(orjson.dumps(said))
    return False


def _raise_other(place: Path, kept: dict[str, object], said: dict[str, object], next_step: str) -> None:
    other = [name for name, value in said.items() if kept.get(name) != value]
    if other:
        name = other[0]
        raise InputError(
            f"{place} holds a training with another setting: {name} is {kept.get(name)} there, and "
            f"{said[name]} now",
            next_step=next_step,
        )


def _fingerprint(texts: Sequence[Encoded]) -> str:
    whole = hashlib.sha256()
    for encoded in texts:
        whole.update(repr(encoded.ids).encode())
    return whole.hexdigest()[:16]


def _token_bytes(model: ReplacementModel) -> int:
    return BYTES * model.n_layers * model.d_model


def _parts(
    model: ReplacementModel, texts: Sequence[Encoded], settings: TrainingSettings
) -> Iterator[TextPart]:
    most = settings.buffer // _token_bytes(model)
    kept: list[Encoded] = []
    number = n_tokens = first_step = 0
    for encoded in texts:
        n = sum(positions_counted(model, encoded))
        if kept and n_tokens + n > most:
            yield TextPart(number, kept, n_tokens, first_step)
            first_step += _steps(n_tokens, settings)
            number, kept, n_tokens = number + 1, [], 0
        kept.append(encoded)
        n_tokens += n
    if n_tokens == 0:
        raise InputError("The texts have only special tokens", next_step="give longer texts")
    yield TextPart(number, kept, n_tokens, first_step)


def _steps(n_tokens: int, settings: TrainingSettings) -> int:
    """Steps on a part: whole batches in each epoch, at least one."""
    return settings.epochs * max(1, n_tokens // settings.batch)


def _order(seed: int, round_: int, n: int) -> Tensor:
    """(n,) a random order of the tokens of a part, the same at every call."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + round_ + 1))


def _batches(part: TextPart, settings: TrainingSettings, done: int) -> Iterator[Tensor]:
    """The tokens of each step on a part, from step `done` on. Each is an ascending (batch,) tensor."""
    each = _steps(part.n_tokens, settings) // settings.epochs
    for epoch in range(settings.epochs):
        order = _order(settings.seed, part.number * settings.epochs + epoch, part.n_tokens)
        for step in range(max(0, done - epoch * each), each):
            yield order[step * settings.batch : (step + 1) * settings.batch].sort().values


def _check_disk(work: Path, folder: Path, needed: int) -> None:
    there = sum(path.stat().st_blocks * 512 for path in folder.glob("*.bin")) if folder.exists() else 0
    free = shutil.disk_usage(work).free
    if needed - there > free:
        raise InputError(
            f"The disk of {work} has {free / 1e9:.1f} GB free, and the activations need "
            f"{(needed - there) / 1e9:.1f} GB",
            next_step="give a smaller --buffer, or an --out on a larger disk",
        )


def _description(group: range, loss: float) -> str:
    where = f"layer {group.start}" if len(group) == 1 else f"layers {group.start} to {group.stop - 1}"
    return f"training, in steps: {where}, loss {loss:.3f}"


class _Saved:
    """The saved state of one group of layers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.steps_done = 0
        self._sum, self._count = 0.0, 0
        if path.is_file():
            kept = load_file(path)
            self.steps_done = int(kept["counts"][0])
            total, count = kept["losses"].tolist()
            self._sum, self._count = total, round(count)

    @property
    def mean_loss(self) -> float:
        return self._sum / max(1, self._count)

    def note(self, loss: float, step: int, total: int) -> None:
        """Count the loss of a step when it is in the last tenth."""
        if step > 0.9 * total:
            self._sum += loss
            self._count += 1

    def trainer(self, device: torch.device) -> Trainer | None:
        if not self.path.is_file():
            return None
        return Trainer.resume(load_file(self.path, device=str(device)))

    def save(self, trainer: Trainer) -> None:
        kept = trainer.state() | {"losses": torch.tensor([self._sum, self._count], dtype=torch.float64)}
        with atomic_write(self.path) as path:
            save_file({name: tensor.contiguous() for name, tensor in kept.items()}, path)
        self.steps_done = trainer.steps_done


def _export(model: ReplacementModel, states: Sequence[_Saved], out: Path, record: dict[str, object]) -> None:
    layers: list[Transcoder] = []
    for state in states:
        trainer = state.trainer(torch.device("cpu"))
        assert trainer is not None
        layers += trainer.export()
    after_norm = any(layer.mlp_post for layer in model.anatomy.layers)
    found = TranscoderSet(
        tuple(layers), out.name, "mlp.hook_in", "hook_mlp_out" if after_norm else "mlp.hook_out", model.name
    )
    beside = out.with_name(out.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        save(found, beside, dtype=torch.float16)
    except ValueError:
        save(found, beside, dtype=torch.float32)
    (beside / RECORD).write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2))
    if out.exists():
        out.rmdir()
    beside.rename(out)
