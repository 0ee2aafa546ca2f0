"""A number and its noun agree, in every text that the atlas writes."""

import ast
import re
from collections.abc import Iterator

from schema.counted import counted
from tests.support.paths import HOME

NOUNS = (
    "aliases|bytes|cases|changes|characters|checkpoints|circuits|claims|components|dimensions|draws|edges|"
    "edits|effects|entries|errors|examples|families|features|fields|figures|files|graphs|groupings|groups|heads|"
    "hypotheses|jobs|keys|labels|layers|levels|lines|links|lists|members|minutes|models|modules|nodes|notes|"
    "numbers|pairs|pins|prompts|rows|runs|sections|sets|supernodes|tags|things|times|tokens|"
    "tries|words"
)
PLURAL = re.compile(rf" (?:(?:(?!(?:as|counts|has|holds|replace) )[a-z-]+ )?(?:{NOUNS})|were)\b")

SEVERAL = {
    # Never 1 where the text is written.
    ("api/downloads/question_string.py", "len(texts)"),
    ("api/mutations/jobs.py", "len(sets)"),
    ("atlas/client.py", "len(pages) or 'no'"),
    ("atlas/commands/choosing.py", "len(fits)"),
    ("atlas/commands/query.py", "len(lists)"),
    ("atlas/local/jars.py", "attempts"),
    ("ingest/engine/replacement/model.py", "len(ids)"),
    ("ingest/evidence/named_edits.py", "len(rows)"),
    ("ingest/labels/model_labels.py", "len(text)"),
    ("ingest/studies/multilingual.py", "max(sizes)"),
    ("schema/annotations/supernodes.py", "len(circuits)"),
    ("schema/exports/files.py", "len(ids)"),
    ("schema/formats/raw.py", "size"),
    ("schema/jobs.py", "n"),
    ("schema/loading/read.py", "n"),
    # A verb.
    ("schema/loading/leases.py", "other['doing']"),
    # Sizes of models, of the server's limits and of the demo.
    ("api/request/batching.py", "self._limits.rows"),
    ("api/request/cursors.py", "limits.page_size"),
    ("api/serving/endpoint.py", "self._limits.body"),
    ("atlas/demo/questions.py", "carrier['nConsidered']"),
    ("ingest/engine/attribution/targets.py", "model.d_model"),
    *(
        ("ingest/engine/loading/checks.py", name)
        for name in ("layers", "least", "size", "words", "sizes[1]", "sizes[2]")
    ),
    ("ingest/engine/replacement/model.py", "self.anatomy.context"),
    ("ingest/engine/replacement/model.py", "self.vocab_size"),
    ("ingest/engine/transcoders/formats/circuit_tracer.py", "n_features"),
    ("ingest/organism/__main__.py", "measured[n]['width']"),
    ("ingest/studies/components.py", "shown.numel()"),
    # Numbers with decimals.
    ("ingest/circuits/run.py", "self.loaded / self.seconds"),
    ("ingest/imports/shards.py", "rate"),
    ("ingest/organism/__main__.py", "(time.monotonic() - started) / 60"),
    # No numbers.
    ("ingest/studies/components.py", "name"),
    ("ingest/studies/tools/prompts.py", "study"),
    ("ingest/studies/tools/trials.py", "split"),
    ("schema/circuit/edit_grammar.py", "positions"),
    ("schema/formats/numbers.py", "number"),
    ("schema/loading/validate.py", "group.label"),
}
"""File, and expression that a plural may follow there."""


def counts(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, expression and following text of each value in an f-string that a plural noun follows."""
    for each in ast.walk(ast.parse(source)):
        if isinstance(each, ast.JoinedStr):
            for value, text in zip(each.values, each.values[1:], strict=False):
                if not (isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant)):
                    continue
                if PLURAL.match(str(text.value)):
                    yield value.lineno, ast.unparse(value.value), str(text.value)


def test_numbers_and_nouns_agree() -> None:
    assert [counted(n, "circuit") for n in (0, 1, 2)] == ["0 circuits", "1 circuit", "2 circuits"]
    assert [counted(n, "thing is", "things are") for n in (1, 2)] == ["1 thing is", "2 things are"]


def test_every_counted_noun_agrees() -> None:
    assert [each[1] for each in counts('f"{n_files} files, {MOST} rows, {n} old runs"')] == [
        *("n_files", "MOST", "n"),
    ]
    found = {
        (str(path.relative_to(HOME)), expression): f"line {line}: {{{expression}}}{text[:40]}"
        for package in ("api", "atlas", "figures", "ingest", "schema")
        for path in sorted((HOME / package).rglob("*.py"))
        for line, expression, text in counts(path.read_text(encoding="utf-8"))
        # Constants are larger than 1, and what is over a limit is so too.
        if not (expression.isupper() or "limit" in text)
    }
    assert {key: found.get(key, "is no longer there") for key in found.keys() ^ SEVERAL} == {}
