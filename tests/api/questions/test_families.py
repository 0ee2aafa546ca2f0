"""Prompt families, compared with a loop over the records."""

import math

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
