"""Supernodes of a whole atlas: features that fire in the same texts form one group in every circuit."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
from rich.console import Console

from ingest.annotations.labels import CorpusPass
from ingest.circuits.convert import transcoders_record
from ingest.engine.replacement.model import ReplacementModel
from ingest.labels.contexts import Activity, FeatureKey
from ingest.labels.promoted import promoted, written
from ingest.labels.roles import GROUPS, group, profiles
from ingest.progress import progress
from ingest.studies.tools.supernodes import SupernodeTensors
from schema.annotations.roles import read_roles, write_roles
from schema.database import Database


class SupernodeSummary(NamedTuple):
    """What one call wrote."""

    n_circuits: int
    """Circuits that have supernodes now."""
    share: float
    """Mean share of the circuits' feature influence that is in supernodes, 0 to 1."""


def highest(found: Activity, features: Sequence[FeatureKey], texts: slice | None = None) -> np.ndarray:
    """(n_features, n_texts) highest activation of each feature in each text; 0 where it does not fire.

    texts: the numbers of the texts that are wanted, without a step; None for all.
    """
    starts = found.contexts.starts
    start, stop, _ = (texts or slice(None)).indices(len(starts) - 1)
    rows = np.zeros((len(features), stop - start), np.float32)
    for row, key in zip(rows, features, strict=True):
        place, activation = found.of(key)
        mine = slice(*np.searchsorted(place, starts[[start, stop]]))
        np.maximum.at(row, found.contexts.number(place[mine]) - start, activation[mine])
    return rows


def keys_of(done: CorpusPass) -> list[FeatureKey]:
    """The features of the atlas that fire in the corpus, sorted."""
    found = ((each.layer, each.index) for each in done.features)
    return sorted(key for key in found if key in done.found)


def roles(done: CorpusPass, *, n_groups: int = GROUPS, seed: int = 0) -> dict[FeatureKey, str]:
    """The role of every feature of the atlas that fires in the corpus: feature → label of its group."""
    features = keys_of(done)
    if not features:
        return {}
    found = profiles(lambda texts: highest(done.found, features, texts), len(done.tags), seed)
    number = group(found, n_groups)
    members: dict[int, list[FeatureKey]] = defaultdict(list)
    for key, group_number in zip(features, number.tolist(), strict=True):
        members[group_number].append(key)
    labels: dict[FeatureKey, str] = {}
    used: set[str] = set()
    for keys in members.values():
        name = _name(done, keys)
        if name in used:
            name += f" ({keys[0][0]}/{keys[0][1]})"
        used.add(name)
        labels.update(dict.fromkeys(keys, name))
    return labels


def write_supernodes(database: Database, done: CorpusPass, *, console: Console) -> SupernodeSummary:
    """Write the supernodes of all circuits of the transcoder set."""
    found = roles(done)
    shares = []
    with progress(console) as work:
        circuits = work.add("circuits")
        for share in write_roles(database, done.set_id, found):
            shares.append(share)
            circuits.advance()
    return SupernodeSummary(len(shares), fmean(shares) if shares else 0.0)


def supernodes_of(database: Database, model: ReplacementModel) -> SupernodeTensors | None:
    """The supernodes of the atlas for a model's transcoders; None when the atlas has none."""
    found = read_roles(database, transcoders_record(model).id)
    return SupernodeTensors.of(model, found) if found else None


def _name(done: CorpusPass, keys: Sequence[FeatureKey]) -> str:
    """Name of a group: the token that the members fire on most → the token that they promote most."""
    mass = np.zeros(done.model.vocab_size)
    for key in keys:
        place, activation = done.found.of(key)
        mass += np.bincount(done.found.contexts.ids[place], activation, done.model.vocab_size)
    fires = int(mass.argmax())
    says = int(promoted(done.model, written(done.model, keys).sum(0, keepdim=True), 1))
    return f"{done.model.decode(fires).strip()} → {done.model.decode(says).strip()}"
