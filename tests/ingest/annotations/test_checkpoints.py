"""Checkpoints of a training run are found in folders, and their features are linked."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from ingest.annotations.checkpoints import TRANSCODERS as FOLDER
from ingest.annotations.checkpoints import steps
from ingest.engine.replacement.model import ReplacementModel
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from schema.errors import InputError


def test_a_folder_without_checkpoints_says_so(tmp_path):
    with pytest.raises(InputError, match="does not contain two checkpoints"):
        steps(tmp_path)
    for name in ("step-1", "checkpoint_20"):
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=r"checkpoint_20, step-1 of .* have no transcoders"):
        steps(tmp_path)


def test_the_command(cli, connection, tmp_path):
    """Two checkpoints that differ in their decoders; the links against a loop over features and tokens."""
    connection.write("MATCH (n) WHERE NOT n:Migration DETACH DELETE n")
    prompts = ["the capital of the state containing north dallas is", "calc : 36 + 59 ="]
    (tmp_path / "prompts.txt").write_text("\n".join(prompts))
    models = {}
    for step in (5, 30):
        folder = tmp_path / "run" / f"step-{step}"
        shutil.copytree(MODEL_DIR, folder)
        shutil.copytree(TRANSCODERS_DIR, folder / FOLDER)
        if step == 5:
            torch.manual_seed(0)
            for path in (folder / FOLDER).glob("W_*.safetensors"):
                held = {
                    name: value + 0.02 * torch.randn_like(value) for name, value in load_file(path).items()
                }
                save_file(held, path)
        models[step] = ReplacementModel.load(folder, folder / FOLDER)
    arguments = ("checkpoints", "load", tmp_path / "prompts.txt", "--folder", tmp_path / "run")
    done = cli(*arguments)
    assert done.exit_code == 0, done.text
    rows = connection.read(
        """
        MATCH (k:Checkpoint)-[:READ_BY]->()<-[:IN]-(f:Feature)-[s:SAME_AS]->(g)
              -[:IN]->()<-[:READ_BY]-(l:Checkpoint)
        RETURN k.step AS step, l.step AS later, [f.layer, f.index] AS at, [g.layer, g.index] AS same,
               s.cosine AS cosine, s.agreement AS agreement
        """
    )
    kept = connection.read(
        """
        MATCH (k:Checkpoint)-[:READ_BY]->()<-[:IN]-(f:Feature)
        RETURN f.layer AS layer, f.index AS index, count(*) AS n
        """
    )
    assert {tuple(row["at"]) for row in rows} == {(r["layer"], r["index"]) for r in kept if r["n"] == 2}
    assert len(rows) > 50
    assert f"{len(rows)} links of a feature with itself" in done.text.replace("\n", " ")
    active: dict[int, list[set[tuple[int, int, int]]]] = {}
    for step, model in models.items():
        active[step] = []
        for prompt in prompts:
            frozen = model.freeze(model.encode(prompt).ids)
            found = model.transcoders.encode(model.read(frozen), n_left_out=0).where.tolist()
            active[step].append({(layer, index, place) for layer, place, index in found if place > 0})
    for row in rows[:40]:
        assert (row["step"], row["later"], row["at"]) == (5, 30, row["same"])
        layer, index = row["at"]
        one, other = (
            models[step].transcoders.layers[layer].decoder[index].float().flatten() for step in (5, 30)
        )
        assert row["cosine"] == pytest.approx(float(one @ other / one.norm() / other.norm()), abs=1e-5)
        on = [
            {(n, p) for n, each in enumerate(active[step]) for (la, i, p) in each if [la, i] == row["at"]}
            for step in (5, 30)
        ]
        assert row["agreement"] == pytest.approx(len(on[0] & on[1]) / len(on[0] | on[1]))
    again = cli(*arguments)
    assert (again.exit_code, "2 checkpoints, 0 new circuits" in again.text) == (0, True), again.text
    connection.write("MATCH (n) WHERE NOT n:Migration DETACH DELETE n")
