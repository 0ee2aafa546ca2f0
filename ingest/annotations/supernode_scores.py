"""How good the groups of an atlas are: against the corpus's own tags, beside other groupings, and how stable.

Source: adjusted mutual information, Vinh, Epps & Bailey (2010): 0 is what chance gives, 1 the same groups.
"""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score

from ingest.annotations.labels import CorpusPass
from ingest.annotations.supernodes import highest, keys_of
from ingest.labels.roles import GROUPS, group, profiles, unit
from ingest.labels.truth import best_tags
from schema.errors import InputError

CLEAR = (0.5, 0.7, 0.8)
"""How well a feature's tag must fit for the feature to count, from lenient to strict."""
SHUFFLES = 5

Groups = NDArray[np.int64]


@dataclass(frozen=True)
class ConceptAgreement:
    """Groups against true concepts, over the features whose concept is clear."""

    clear: float
    """The least F1 of a feature's tag."""
    n_features: int
    n_concepts: int
    ami: float
    """Adjusted mutual information of our groups and the concepts."""
    decoder_ami: float
    """The same of as many groups by k-means on decoder vectors."""
    random_ami: float
    """The same of random groups of our groups' sizes, mean of several."""
    purity: float
    """The share of features that have the commonest concept of their group."""
    decoder_purity: float
    """The same of the groups by k-means on decoder vectors."""
    random_purity: float


@dataclass(frozen=True)
class GroupScores:
    """What is known of a grouping."""

    n_features: int
    n_groups: int
    agreements: list[ConceptAgreement]
    seed_ami: float
    """ConceptAgreement with the groups of another seed; 1 where texts are few enough not to be projected."""
    half_ami: float
    """ConceptAgreement with the groups made from half of the texts."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def group_scores(done: CorpusPass, *, n_groups: int = GROUPS, seed: int = 0) -> GroupScores:
    """Raises InputError when the corpus has no tags."""
    features = keys_of(done)
    rows = highest(done.found, features)
    try:
        truth = best_tags(rows, done.tags)
    except ValueError as error:
        raise InputError(
            f"The corpus does not say what its texts are about: {error}",
            next_step='score with a corpus of .jsonl lines such as {"prompt": "…", "tags": ["state:texas"]}',
        ) from error
    n = min(n_groups, len(features))
    ours = group(profiles(rows, seed), n)
    random = np.random.default_rng(seed)
    decoders = torch.stack(
        [
            done.model.transcoders.decoder_rows(layer, torch.tensor([index]), torch.float32)
            .reshape(-1, done.model.transcoders.d_model)
            .sum(0)
            for layer, index in features
        ]
    )
    by_decoder = KMeans(n, n_init=1, random_state=seed).fit(unit(decoders.numpy())).labels_
    shuffled = [random.permutation(ours) for _ in range(SHUFFLES)]
    agreements = []
    for clear in CLEAR:
        wanted = truth.f1 >= clear
        if not wanted.any():
            continue
        concept = truth.best[wanted]
        agreements.append(
            ConceptAgreement(
                clear=clear,
                n_features=int(wanted.sum()),
                n_concepts=len(set(concept.tolist())),
                ami=ami(concept, ours[wanted]),
                decoder_ami=ami(concept, by_decoder[wanted]),
                random_ami=float(np.mean([ami(concept, each[wanted]) for each in shuffled])),
                purity=purity(concept, ours[wanted]),
                decoder_purity=purity(concept, by_decoder[wanted]),
                random_purity=float(np.mean([purity(concept, each[wanted]) for each in shuffled])),
            )
        )
    half = random.permutation(rows.shape[1])[: rows.shape[1] // 2]
    return GroupScores(
        n_features=len(features),
        n_groups=len(set(ours.tolist())),
        agreements=agreements,
        seed_ami=ami(ours, group(profiles(rows, seed + 1), n)),
        half_ami=ami(ours, group(profiles(rows[:, np.sort(half)], seed), n)),
    )


def ami(one: Groups, other: Groups) -> float:
    return float(adjusted_mutual_info_score(one, other))


def purity(concept: Groups, groups: Groups) -> float:
    """The share that has the commonest concept of its group; both (n_features,)."""
    counts: dict[int, Counter[int]] = {}
    for mine, number in zip(concept.tolist(), groups.tolist(), strict=True):
        counts.setdefault(number, Counter())[mine] += 1
    return sum(max(each.values()) for each in counts.values()) / len(concept)
