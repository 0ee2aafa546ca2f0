"""The grammar of edits: what each text means, and what the error for a wrong text says."""

import pytest

from schema.circuit.edit_grammar import (
    EditKind,
    FeatureName,
    PositionList,
    PositionRange,
    PositionWord,
    SupernodeName,
    WrittenEdit,
    parse_edit,
)
from schema.errors import InputError

FEATURE, OTHER = FeatureName(3, 17), FeatureName(4, 2)
TEXAS, OHIO = SupernodeName("texas"), SupernodeName("ohio|person|ada")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ablate 3/17@5", WrittenEdit(EditKind.ABLATE, FEATURE, None, PositionList((5,)), None)),
        ("ablate {texas}@2-5", WrittenEdit(EditKind.ABLATE, TEXAS, None, PositionRange(2, 5), None)),
        ("set 3/17@2-=2.5", WrittenEdit(EditKind.SET, FEATURE, None, PositionRange(2, None), 2.5)),
        ("scale {texas}@2,5=-0.001", WrittenEdit(EditKind.SCALE, TEXAS, None, PositionList((2, 5)), -1e-3)),
        ("swap 3/17:4/2@last", WrittenEdit(EditKind.SWAP, FEATURE, OTHER, PositionWord.LAST, None)),
        (
            "swap {texas}:{ohio|person|ada}@all",
            WrittenEdit(EditKind.SWAP, TEXAS, OHIO, PositionWord.ALL, None),
        ),
        ("plant {texas}@5-5", WrittenEdit(EditKind.PLANT, TEXAS, None, PositionRange(5, 5), None)),
        ("plant 3/17@9=2", WrittenEdit(EditKind.PLANT, FEATURE, None, PositionList((9,)), 2.0)),
        ("set 3/17@new=0", WrittenEdit(EditKind.SET, FEATURE, None, PositionWord.NEW, 0.0)),
    ],
)
def test_an_edit_is_read_and_written(text: str, expected: WrittenEdit) -> None:
    assert parse_edit(text, generating=True) == expected
    assert parse_edit(f"  {text}\n".replace(" ", "   "), generating=True) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no edit\n  → begin with one of set, scale, ablate, swap, plant"),
        ("erase 3/17@5", "'erase 3/17@5' is no edit\n  → begin with one of set, scale, ablate, swap, plant"),
        ("ablate 3/17", "'ablate 3/17' cannot be read\n  → write it like: ablate 3/17@5"),
        ("ablate 3/17@5=2", "'ablate 3/17@5=2' cannot be read\n  → write it like: ablate 3/17@5"),
        ("ablate 3/17:4/2@5", "'ablate 3/17:4/2@5' cannot be read\n  → write it like: ablate 3/17@5"),
        ("set 3/17@5", "'set 3/17@5' cannot be read\n  → write it like: set 3/17@5=2.5"),
        ("scale 3/17@5", "'scale 3/17@5' cannot be read\n  → write it like: scale 3/17@5=2"),
        ("swap 3/17@5", "'swap 3/17@5' cannot be read\n  → write it like: swap {texas}:{ohio}@all"),
        ("swap 3/1:4/2@5=1", "'swap 3/1:4/2@5=1' cannot be read\n  → write it like: swap {texas}:{ohio}@all"),
        (
            "swap {texas}:4/2@5",
            "'swap {texas}:4/2@5' swaps a supernode and a feature\n  → name two supernodes, or two features",
        ),
        (
            "ablate 3/17@x",
            "'ablate 3/17@x': 'x' is no position\n  → write 5, 2,5, 2-5, 2-, last, all after the @",
        ),
        (
            "ablate 3/17@9-2",
            "'ablate 3/17@9-2': the range 9-2 runs backwards\n  → write 2-9 after the @",
        ),
        (
            "ablate 3/17@new",
            "'ablate 3/17@new': there are no new tokens\n  → generate some with --generate, or write all",
        ),
        ("set 3/17@5=much", "'set 3/17@5=much': 'much' is no number\n  → write it like: set 3/17@5=2.5"),
        (
            "set 3/17@5=nan",
            "'set 3/17@5=nan': 'nan' is no finite 32-bit number\n  → write it like: set 3/17@5=2.5",
        ),
        (
            "set 3/17@5=1e308",
            "'set 3/17@5=1e308': '1e308' is no finite 32-bit number\n  → write it like: set 3/17@5=2.5",
        ),
    ],
)
def test_a_text_that_is_no_edit_is_named_with_the_mend(text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_edit(text)
    assert str(refused.value) == message
