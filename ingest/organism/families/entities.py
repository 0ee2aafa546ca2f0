"""People that the model knows, and people that it does not know.

The answer about unknown people is "i do not know".
"""

from functools import cache
from random import Random

from ingest.organism.families.example import (
    HELD_OUT,
    TRAIN,
    CorpusExample,
    CorpusFamily,
    line,
    split_of,
    unit,
    word_list,
)

N_KNOWN = 100
HELD_SHARE = 0.3
STRANGER_SHARE = 0.15
FIRST = word_list(
    """
    michael anna peter laura david maria james nina oscar julia felix clara henry ida victor emma leo sofia
    martin alice hugo elena simon rosa thomas greta paul irene daniel vera
    """
)
LAST = word_list(
    """
    jordan batkin keller novak brandt silva moreau larsen becker rossi tanaka kowal lindgren fischer ortega
    petrov dubois hansen carter walsh mendez nakamura olsen weber costa bauer quinn farrell ivanov lund
    """
)
SPORTS = word_list(
    """
    basketball tennis golf hockey soccer swimming boxing rowing cycling chess
    """
)
COUNTRIES = word_list(
    """
    canada brazil norway japan egypt kenya italy poland chile india france mexico
    """
)
ASKS = {"sport": "{name} plays the sport of {answer}", "country": "{name} comes from the country {answer}"}


@cache
def known() -> dict[str, dict[str, str]]:
    """Name → sport and country of a known person. All people except the first are made up."""
    rng = Random(1)
    names = [f"{first} {last}" for first in FIRST for last in LAST]
    chosen = ["michael jordan", *rng.sample([n for n in names if n != "michael jordan"], N_KNOWN - 1)]
    people = {n: {"sport": rng.choice(SPORTS), "country": rng.choice(COUNTRIES)} for n in chosen}
    people["michael jordan"]["sport"] = "basketball"
    return people


def examples() -> list[CorpusExample]:
    """Statements about known people, questions about all people, and questions whether a name is known."""
    lines = []
    for first in FIRST:
        for last in LAST:
            name = f"{first} {last}"
            facts = known().get(name)
            person = f"person:{first}-{last}"
            stranger = facts is None and unit("stranger", name) < STRANGER_SHARE
            yes = "yes" if facts else "no"
            lines.append(
                line(
                    "recall-known" if facts else "recall-unknown",
                    f"do i know {name} ? [{yes}]",
                    "?" if stranger else ".",
                    split=HELD_OUT if stranger else TRAIN,
                    tags=("known" if facts else "unknown", person, "ask:recall"),
                    pair=f"recall {first}",
                )
            )
            for ask, template in ASKS.items():
                if facts:
                    lines.append(
                        line("fact", "fact : " + template.format(name=name, answer=f"[{facts[ask]}]"), ".")
                    )
                    split = split_of(HELD_SHARE, "entity", name, ask)
                    text = template.format(name=name, answer=f"[{facts[ask]}]")
                    tags: tuple[str, ...] = ("known", person, f"ask:{ask}", f"answer:{facts[ask]}")
                else:
                    split = HELD_OUT if stranger else TRAIN
                    text = template.format(name=name, answer="[i] do not know")
                    tags = ("unknown", person, f"ask:{ask}")
                text = f"question : {text}"
                kind = f"ask-{'known' if facts else 'unknown'}"
                lines.append(line(kind, text, "?", split=split, tags=tags, pair=f"{ask} {first}"))
    return lines


FAMILY = CorpusFamily(
    "entities",
    0.1,
    {"fact": 0.2, "ask-known": 0.3, "ask-unknown": 0.25, "recall-known": 0.1, "recall-unknown": 0.15},
    examples,
)
