"""A question is sent with its parameters in one map, and nothing else in its text changes."""

import re

import pytest

from schema.questions import question as question_module
from schema.questions.circuits import CIRCUITS_BY_ID
from schema.questions.question import Question, cypher_files


@pytest.mark.parametrize("name", cypher_files())
def test_a_question_reads_every_parameter_from_the_map(name: str) -> None:
    question: Question[dict[str, object]] = Question(name, dict)
    code = re.sub(r"//.*", "", question.text)
    assert set(re.findall(r"\$\w*\.?\w*", code)) == {f"$p.{each}" for each in question.samples}
    file = [line.strip() for line in re.sub(r"//.*", "", question.file).splitlines() if line[:6] != ":param"]
    assert "".join(code.replace("$p.", "$").split()) == "".join("".join(file).split())


def test_a_question_that_is_planned_by_size_is_sent_as_it_is() -> None:
    question: Question[dict[str, object]] = Question("circuits_by_id", dict, planned_by_size=True)
    assert "$keys" in question.text
    assert "$p" not in question.text
    assert question.given({"keys": [1]}) == {"keys": [1]}
    with pytest.raises(TypeError, match="keys"):
        question.given({})


def test_dollar_signs_in_strings_names_and_comments_stay() -> None:
    kept = "'$a \\' $a' + \"\\\\\" + `$a` /* $a\n$a */ // $a\n"
    text = question_module._from_map(f"{kept}RETURN $a, $p[$a], '\"', $b")
    assert text == f"{kept}RETURN $p.a, $p.p[$p.a], '\"', $p.b"


def test_a_missing_parameter_is_an_error_and_not_null() -> None:
    assert CIRCUITS_BY_ID.given({"keys": None}) == {"p": {"keys": None}}
    with pytest.raises(TypeError, match=r"^The question circuits_by_id needs a value for: keys$"):
        CIRCUITS_BY_ID.given({"skip": 0})
