"""Moving prompts to another family leaves what loading them in that family would have stored."""

import re
from dataclasses import replace

import pytest

from schema.annotations.families import MovedPrompt, prompts_of, set_family
from schema.circuit.records import Circuit
from schema.database import Database
from schema.errors import NotFoundError
from schema.upkeep.canonical_dump import dump
from tests.support.circuits import synthetic_circuits
from tests.support.loading import assert_sound
from tests.support.servers import empty
from tests.support.stored import assert_effects, load_all


def in_family(circuit: Circuit, family: str | None) -> Circuit:
    return replace(circuit, prompt=replace(circuit.prompt, family=family))


@pytest.mark.parametrize(
    "places",
    [
        {0: "new", 1: "new"},  # to a family that does not exist
        {0: "capitals", 4: "arithmetic", 5: None, 9: "antonyms"},  # there and back, out, and into
        dict.fromkeys(range(12), "one"),  # the old families disappear
        dict.fromkeys(range(12)),
    ],
    ids=["new", "several", "all", "none"],
)
def test_moving_is_as_good_as_loading_in_that_family(database: Database, places: dict[int, str | None]):
    circuits = synthetic_circuits(12)
    circuits[9] = in_family(circuits[9], None)
    # The second circuit of a prompt has another set.
    other = replace(circuits[0].transcoders, name="other-clt")
    circuits.append(replace(circuits[0], transcoders=other))
    places = {**places, **({12: places[0]} if 0 in places else {})}
    wanted = [in_family(each, places.get(at, each.prompt.family)) for at, each in enumerate(circuits)]
    load_all(database, wanted)
    clean = dump(database)
    empty(database)
    load_all(database, circuits)
    for family in dict.fromkeys(places.values()):
        ids = [circuits[at].id for at, each in places.items() if each == family]
        moved = list(set_family(database, prompts_of(database, ids), family))
        there = {each.prompt.id for each in circuits if each.prompt.family == family}
        assert {each.prompt for each in moved} == set(prompts_of(database, ids)) - there
    assert_sound(database, clean)
    assert_effects(database, wanted)


def test_a_prompt_that_is_there_stays_and_an_unknown_one_moves_nothing(database: Database):
    circuits = synthetic_circuits(3)
    load_all(database, circuits)
    before = dump(database)
    prompts = [circuit.prompt.id for circuit in circuits]
    families = [circuit.prompt.family for circuit in circuits]
    assert list(set_family(database, prompts[:1], families[0])) == []
    with pytest.raises(NotFoundError, match=re.escape("The database has no prompt 'none'")):
        list(set_family(database, [prompts[0], "none"], "new"))
    assert dump(database) == before
    (moved,) = set_family(database, [prompts[0]], "'}) DETACH DELETE n //")
    assert moved == MovedPrompt(prompts[0], families[0], 1)
