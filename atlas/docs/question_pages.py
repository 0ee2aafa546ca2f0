"""A page for each question: its GraphQL query, the answer, and the Cypher that answers it.

    python -m atlas.docs.question_pages [--folder docs/questions]

The queries come from `questions.graphql`, the titles from the first line of a query or else of its Cypher
file, and the descriptions from the GraphQL schema. This command keeps the answers of a page and writes
everything else again. `make answers` (`atlas.docs.sample_answers`) asks for new answers.
"""

import argparse
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from graphql import FieldNode, GraphQLField, OperationDefinitionNode, build_schema, parse, print_ast

from api.app import create_app, sdl
from atlas.local.login import Login
from atlas.settings import Settings
from schema.database import AsyncDatabase, Parameters, Rows
from schema.errors import AtlasError
from schema.questions.question import KEYS, Question, cypher_files

FOLDER = Path(__file__).parents[2] / "docs" / "questions"
QUERIES = "questions.graphql"
LOOKUPS = ("_by_id", "unknown", "considered", "prompts_of_circuits")
"""Endings of names of Cypher files that only look up details, or what counts as one. They come last."""


class Asked(NamedTuple):
    """One query of `questions.graphql`."""

    name: str
    field: str
    """The root field of the query."""
    title: str | None
    """None: the title is that of the query's first Cypher file."""
    remark: str
    query: str
    variables: tuple[str, ...]
    """Names of the query's variables."""


class Listening:
    """A database that records the Cypher texts it is sent."""

    def __init__(self, database: AsyncDatabase) -> None:
        self.database = database
        self.texts: list[str] = []

    async def read(self, text: str, parameters: Parameters = None, *, timeout_s: float | None = None) -> Rows:
        self.texts.append(text)
        return await self.database.read(text, parameters, timeout_s=timeout_s)


def queries(text: str) -> list[Asked]:
    """The queries of a file, each with the comment above it."""
    found, end = [], 0
    for node in parse(text).definitions:
        assert isinstance(node, OperationDefinitionNode)
        assert node.name is not None
        assert node.loc is not None
        (root,) = node.selection_set.selections
        assert isinstance(root, FieldNode)
        remark = " ".join(line.lstrip("# ") for line in text[end : node.loc.start].split("\n") if line)
        heading = re.match(r"[^.?]*\?", remark)
        rest = remark[heading.end() :].strip() if heading else remark
        variables = tuple(each.variable.name.value for each in node.variable_definitions or ())
        found.append(
            Asked(node.name.value, root.name.value, heading and heading[0], rest, print_ast(node), variables)
        )
        end = node.loc.end
    return found


def page(asked: Asked, answer: dict[str, Any], cypher: list[str], field: GraphQLField) -> str:
    """A page in Markdown. cypher: names of the Cypher files, beginning with the one that answers."""
    arguments = [f"| `{name}` | {_cell(each.description)} |" for name, each in field.args.items()]
    table = ["| argument | |", "|---|---|", *arguments, ""] if arguments else []
    lines = [
        f"# {asked.title or title(cypher[0])}",
        "",
        *([asked.remark, ""] if asked.remark else []),
        f"`{asked.field}`: {field.description}",
        "",
        *table,
        "```graphql",
        asked.query,
        "```",
        "",
        "The atlas of the bundled prompts answers (numbers rounded):",
        "",
        "```json",
        json.dumps(answer, indent=2, ensure_ascii=False),
        "```",
        "",
    ]
    for name in cypher:
        path = f"schema/questions/cypher/{_folder(name)}/{name}.cypher"
        lines += [f"## `{path}`", "", "```cypher", _read(name).strip(), "```", ""]
    return "\n".join(lines)


def _cell(text: str | None) -> str:
    """A text as a cell of a Markdown table."""
    return (text or "").replace("|", "\\|").replace("\n", " ")


def rounded(value: Any) -> Any:
    """An answer with its numbers rounded to six decimals."""
    match value:
        case dict():
            return {key: rounded(each) for key, each in value.items()}
        case list():
            return [rounded(each) for each in value]
        case float():
            return round(value, 6)
    return value


def kept(asked: Asked, old: str, field: GraphQLField) -> str:
    """A new page with the answer and the Cypher files of the old page."""
    answer = re.search(r"```json\n(.*?)\n```", old, re.DOTALL)
    assert answer is not None
    files = re.findall(r"^## `schema/questions/cypher/\w+/(\w+)\.cypher`$", old, re.MULTILINE)
    return page(asked, json.loads(answer[1]), _ordered(files), field)


def title(name: str) -> str:
    """The question at the top of a Cypher file."""
    return _read(name).split("\n", 1)[0].removeprefix("// ")


def _read(name: str) -> str:
    return cypher_files()[name].read_text(encoding="utf-8")


def _folder(name: str) -> str:
    return Path(str(cypher_files()[name])).parent.name


def _names(texts: list[str]) -> list[str]:
    """Names of the Cypher files that were sent, in order."""
    # Several questions can travel as one text, and lookups without their first line.
    body = {name: _body(name) for name in cypher_files()}
    found = dict.fromkeys(
        name
        for text in texts
        for name in sorted((name for name in body if body[name] in text), key=lambda n: text.index(body[n]))
    )
    return _ordered(found)


def _ordered(names: Iterable[str]) -> list[str]:
    """The file that answers first, lookups last."""
    return sorted(names, key=lambda name: name.endswith(LOOKUPS))


def _body(name: str) -> str:
    """The Cypher of a file without the comment on top, parameters and sample answer."""
    text = Question[object](name, lambda record: record).text
    return re.sub(r"\A(?:\s*//[^\n]*\n)*\s*", "", text).removeprefix(KEYS)


def with_fields(folder: Path) -> list[tuple[Asked, GraphQLField]]:
    """Each query with its field of the GraphQL schema."""
    root = build_schema(sdl()).query_type
    assert root is not None
    asked = queries((folder / QUERIES).read_text(encoding="utf-8"))
    return [(each, root.fields[each.field]) for each in asked]


def write_contents(folder: Path) -> None:
    """Write README.md, which lists the pages."""
    lines = [
        "# Questions",
        "",
        "Each with a query that runs as shown, what an atlas of the bundled prompts answers, and its Cypher.",
        "The answers are of circuits with heads (`atlas ingest --heads`), after `atlas examples`, `label`,",
        "`modules compute`, `ablate`, `diagnose`, a claim and a hypothesis; the last five also after a job,",
        "changes by people and a short training run (`atlas checkpoints load`). `make answers` makes them",
        "again, from `questions.graphql`, the schema and `schema/questions/cypher`.",
        "",
    ]
    for each, _ in with_fields(folder):
        heading = (
            (folder / f"{each.name}.md").read_text(encoding="utf-8").split("\n", 1)[0].removeprefix("# ")
        )
        lines.append(f"- [{heading}]({each.name}.md) `{each.field}`")
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


async def write(
    settings: Settings, folder: Path, names: Sequence[str], variables: Mapping[str, str] | None = None
) -> None:
    """Ask the atlas the queries with these names and write their pages.

    variables: values for the variables of queries, by name. Raises AtlasError when a query fails.
    """
    async with await Login(settings).connect_async() as database:
        listening = Listening(database)
        app = create_app(listening)  # type: ignore[arg-type]  # it only reads
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app), base_url="http://localhost"
        ) as http:
            for each, field in with_fields(folder):
                if each.name not in names:
                    continue
                listening.texts.clear()
                given = {name: (variables or {})[name] for name in each.variables}
                answer = (await http.post("/graphql", json={"query": each.query, "variables": given})).json()
                if "errors" in answer:
                    raise AtlasError(
                        f"{each.name}: {answer['errors'][0]['message']}",
                        next_step=f"correct the query in {folder / QUERIES}",
                    )
                text = page(each, rounded(answer["data"]), _names(listening.texts), field)
                (folder / f"{each.name}.md").write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    given = parser.parse_args()
    for each, field in with_fields(given.folder):
        path = given.folder / f"{each.name}.md"
        path.write_text(kept(each, path.read_text(encoding="utf-8"), field), encoding="utf-8")
    write_contents(given.folder)


if __name__ == "__main__":
    main()
