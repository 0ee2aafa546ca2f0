"""Scores the supernodes of an atlas: agreement with the tags of the corpus, baselines, and stability.

Source: adjusted mutual information (AMI), Vinh, Epps & Bailey (2010). 0 is the value by chance, 1 means equal
groups.
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
"""Least F1 of a feature's best tag for the feature to count, from lenient to strict."""
SHUFFLES = 5
"""Random groupings of the baseline."""

Groups = NDArray[np.int64]


@dataclass(frozen=True)
class ConceptAgreement:
    """Agreement of groups and true concepts, over the features whose concept is clear."""

    clear: float
    """Least F1 of a feature's best tag, 0 to 1."""
    n_features: int
    """Features with such a tag."""
    n_concepts: int
    """Different tags of these features."""
    ami: float
    """AMI of the atlas's groups and the concepts."""
    decoder_ami: float
    """AMI of as many groups by k-means on decoder vectors, and the concepts."""
    random_ami: float
    """AMI of random groups of equal sizes, and the concepts; mean of several."""
    purity: float
    """Share of features that have the most common concept of their group, 0 to 1."""
    decoder_purity: float
    """Purity of the groups by k-means on decoder vectors."""
    random_purity: float
    """Purity of the random groups."""


@dataclass(frozen=True)
class GroupScores:
    """The scores of a grouping of features."""

    n_features: int
    """Features of the atlas that fire in the corpus."""
    n_groups: int
    """Groups of these features."""
    agreements: list[ConceptAgreement]
    """Agreement with true concepts, one entry for each threshold of `CLEAR` that any feature reaches."""
    seed_ami: float
    """AMI with the groups of another seed. It is 1 when there are too few texts for a random projection."""
    half_ami: float
    """AMI with the groups made from half of the texts."""

    def as_json(self) -> dict[str, Any]:
        """The scores for scripts."""
        return asdict(self)


def group_scores(done: CorpusPass, *, n_groups: int = GROUPS, seed: int = 0) -> GroupScores:
    """Score the groups of an atlas's features. Raises InputError when the corpus has no tags."""
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
    ours = group(_profiles(rows, seed), n)
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
        seed_ami=ami(ours, group(_profiles(rows, seed + 1), n)),
        half_ami=ami(ours, group(_profiles(rows[:, np.sort(half)], seed), n)),
    )


def _profiles(rows: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    return profiles(lambda texts: rows[:, texts], rows.shape[1], seed)


def ami(one: Groups, other: Groups) -> float:
    """Adjusted mutual information of two groupings of the same features, each (n_features,)."""
    return float(adjusted_mutual_info_score(one, other))


def purity(concept: Groups, groups: Groups) -> float:
    """Share of features that have the most common concept of their group. Both arrays are (n_features,)."""
    counts: dict[int, Counter[int]] = {}
    for mine, number in zip(concept.tolist(), groups.tolist(), strict=True):
        counts.setdefault(number, Counter())[mine] += 1
    return sum(max(each.values()) for each in counts.values()) / len(concept)
