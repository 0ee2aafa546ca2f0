"""Prompt families, compared with a loop over the records."""

import math
from dataclasses import fields

import pytest
from strawberry.utils.str_converters import to_camel_case

from api.types.prompt import Family
from tests.support.choosing import n_settings


async def test_families(api, near, circuits):
    data = await api(
        """{ families { name nPrompts nCircuits tags replacementScore completenessScore errorShare nJudged
                        nCorrect accuracy mixedSettings } }"""
    )
    expected = []
    for name in sorted({circuit.prompt.family for circuit in circuits}):
        mine = [circuit for circuit in circuits if circuit.prompt.family == name]
        judged = [circuit for circuit in mine if circuit.correct is not None]
        right = [circuit for circuit in judged if circuit.correct]
        expected.append(
            {
                "name": name,
                "nPrompts": len({circuit.prompt.id for circuit in mine}),
                "nCircuits": len(mine),
                "tags": sorted({tag for circuit in mine for tag in circuit.prompt.tags}),
                "replacementScore": math.fsum(c.replacement_score for c in mine) / len(mine),
                "completenessScore": math.fsum(c.completeness_score for c in mine) / len(mine),
                "errorShare": math.fsum(c.error_share for c in mine) / len(mine),
                "nJudged": len(judged),
                "nCorrect": len(right),
                "accuracy": len(right) / len(judged),
                "mixedSettings": n_settings(mine) > 1,
            }
        )
    assert data["families"] == near(expected)


FIELDS = sorted(to_camel_case(each.name) for each in fields(Family))


@pytest.mark.parametrize("name", FIELDS)
async def test_a_field_alone_is_what_it_is_beside_the_others(api, circuits, name):
    """Only what is asked for is computed."""
    every = [f"{each} {{ setting values }}" if each == "mixed" else each for each in FIELDS]
    whole = await api(f"{{ families {{ {' '.join(every)} }} }}")
    (asked,) = (each for each in every if each.split()[0] == name)
    alone = await api(f"{{ families {{ {asked} }} }}")
    assert alone["families"] == [{name: family[name]} for family in whole["families"]]
    assert any(family[name] for family in whole["families"]) or name in ("nDerived", "mixed", "mixedSettings")
