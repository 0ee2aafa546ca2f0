"""Weights of questions: CPU milliseconds that the database takes for each GraphQL field that asks it
something.

    python -m bench.question_weights --home FOLDER [--repeats 3] [--least 20]

FOLDER is an ATLAS_HOME with circuits (from `bench/bulk.py`, 1 000 circuits of the shape `small` for the
table of the repository). Every field of the GraphQL schema is asked by the shortest way from the root, with
its required arguments only. The CPU time of the database's process is measured, so that other work on the
machine matters little; of several repeats the least counts. It writes `api/request/weights.py`: the fields
whose questions take at least `--least` ms, and the questions that count as heavy.
"""

import argparse
import asyncio
from collections import deque
from pathlib import Path
from typing import Any

import httpx2
import psutil
from graphql import GraphQLField, GraphQLObjectType, get_named_type, is_leaf_type, is_required_argument

from api.app import create_app
from api.request.limits import Limits
from api.serving.graphql_schema import graphql_schema
from bench.homes import start
from schema.database import AsyncDatabase, Database

MODULE = Path(__file__).parents[1] / "api" / "request" / "weights.py"
HEAVY_MS = 250
"""From this weight on, a question is heavy."""
NOISE = 0.25
"""Share by which equal queries may differ."""
Way = tuple[tuple[str, str, GraphQLField], ...]
"""Type, name and declaration of each field from the root on."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--heap", type=int, default=1500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--least", type=int, default=20, help="the least weight that is written, in ms")
    asked = parser.parse_args()
    address = start(asked.home, asked.heap)
    with Database.connect(address.bolt_uri, address.user, address.password) as database:
        known = subjects(database)
        (row,) = database.read("MATCH (c:Circuit) RETURN count(*) AS n")
    (process,) = (
        each
        for each in psutil.process_iter(["cmdline"])
        if str(asked.home.resolve()) in " ".join(each.info["cmdline"] or ())
        and "java" in each.info["cmdline"][0]
    )

    async def measure() -> tuple[dict[str, float], dict[str, float]]:
        async with await AsyncDatabase.connect(address.bolt_uri, address.user, address.password) as reads:
            app = create_app(reads, limits=Limits(timeout_s=600))
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(
                transport=transport, base_url="http://localhost", timeout=900
            ) as http:
                return await weights(http, process, known, asked.repeats)

    fields, questions = asyncio.run(measure())
    MODULE.write_text(module(fields, questions, asked.least, row["n"]), encoding="utf-8")
    for name, ms in sorted(fields.items(), key=lambda each: -each[1]):
        print(f"{name:50} {ms:8.1f}")


def subjects(database: Database) -> dict[str, Any]:
    """A value for each required argument of the schema, by its name: of the kinds that most circuits have."""
    families = [
        row["name"]
        for row in database.read(
            "MATCH (f:Family) RETURN f.name AS name ORDER BY f.n_circuits DESC, name LIMIT 2"
        )
    ]
    (feature,) = database.read("MATCH (f:Feature) RETURN f.id AS id ORDER BY f.n_circuits DESC, id LIMIT 1")
    circuits = [
        row["id"] for row in database.read("MATCH (c:Circuit) RETURN c.id AS id ORDER BY id LIMIT 20")
    ]
    (token,) = database.read(
        "MATCH (n:TokenNode) RETURN n.token AS token, count(*) AS n ORDER BY n DESC, token LIMIT 1"
    )
    (logit,) = database.read(
        "MATCH (n:LogitNode) RETURN n.token AS token, count(*) AS n ORDER BY n DESC, token LIMIT 1"
    )
    return {
        "features": [feature["id"]],
        "feature": feature["id"],
        "circuit": circuits[0],
        "circuits": circuits,
        "a": circuits[0],
        "b": circuits[1],
        "positive": {"families": families[:1]},
        "negative": {"families": families[1:]},
        "from": {"token": token["token"]},
        "to": {"logit": logit["token"]},
        "text": token["token"],
        "family": families[0],
        "label": "a",
        "inCircuits": {"families": families[:1]},
        "among": {"families": families[:1]},
        "state": "KEPT",
        "minSupport": 2,
        "tokens": [logit["token"]],
        "id": {"circuit": circuits[0], "feature": feature["id"]},
    }


def ways() -> list[Way]:
    """Every field that leads to objects, each type by the shortest way from the root."""
    root = graphql_schema()._schema.query_type
    assert root is not None
    found: list[Way] = []
    todo: deque[tuple[GraphQLObjectType, Way]] = deque([(root, ())])
    seen = {root.name}
    while todo:
        kind, way = todo.popleft()
        for name, field in sorted(kind.fields.items(), key=lambda each: len(needed(each[1]))):
            to = (*way, (kind.name, name, field))
            below = get_named_type(field.type)
            if not isinstance(below, GraphQLObjectType) or below.name == "PageInfo":
                continue
            found.append(to)
            if below.name not in seen:
                seen.add(below.name)
                todo.append((below, to))
    return found


def needed(field: GraphQLField) -> dict[str, Any]:
    """The arguments that must be given, and the tokens, of which one question wants some."""
    return {
        name: argument
        for name, argument in field.args.items()
        if is_required_argument(argument) or name == "tokens"
    }


def query(way: Way, known: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A query for the last field of a way, with the scalars that it has, and its variables."""
    declared, variables, start, end = [], {}, "", ""
    for depth, (_, name, field) in enumerate(way):
        given = ["first: 1"] if "first" in field.args and depth < len(way) - 1 else []
        for argument, wanted in needed(field).items():
            key = f"d{depth}_{argument}"
            value = known[argument]
            declared.append(f"${key}: {wanted.type}")
            variables[key] = value[name] if argument == "id" and name in value else value
            if argument == "id" and isinstance(variables[key], dict):
                variables[key] = "none"
            given.append(f"{argument}: ${key}")
        start += name + (f"({', '.join(given)})" if given else "") + " "
        below = get_named_type(field.type)
        if not isinstance(below, GraphQLObjectType):
            break
        if depth == len(way) - 1:
            start += "{ " + leaves(below) + " }"
        else:
            start, end = start + "{ ", end + " }"
    head = f"query ({', '.join(declared)}) " if declared else ""
    return f"{head}{{ {start}{end} }}", variables


def leaves(kind: GraphQLObjectType) -> str:
    """The scalars of a type; for a page, those of its entries as well."""
    plain = [n for n, f in kind.fields.items() if is_leaf_type(get_named_type(f.type)) and not needed(f)]
    if "pageInfo" in kind.fields:
        below = get_named_type(kind.fields["nodes"].type)
        assert isinstance(below, GraphQLObjectType)
        plain.append("nodes { " + leaves(below) + " }")
    return " ".join(plain or ["__typename"])


async def weights(
    http: httpx2.AsyncClient, process: psutil.Process, known: dict[str, Any], repeats: int
) -> tuple[dict[str, float], dict[str, float]]:
    """CPU milliseconds of each field that asks a question of its own, and of each question."""
    fields: dict[str, float] = {}
    questions: dict[str, float] = {}
    asked_before: dict[tuple[str, ...], set[str]] = {(): set()}
    took_before: dict[tuple[str, ...], float] = {(): 0}
    for way in ways():
        text, variables = query(way, known)
        before = await counted(http)
        least = float("inf")
        for number in range(repeats + 1):
            begin = sum(process.cpu_times()[:2])
            response = await http.post("/graphql", json={"query": text, "variables": variables})
            took = 1000 * (sum(process.cpu_times()[:2]) - begin)
            # The first plans the query. When it took little all the same, no other is needed.
            least = min(least, took) if number or took < 30 else least
            if number == 0 and took < 30:
                break
        if errors := response.json().get("errors"):
            print(f"{text[:150]}: {errors[0]['message'][:100]}")
        asked = {name for name, n in (await counted(http)).items() if n > before.get(name, 0)}
        names = tuple(name for _, name, _ in way)
        asked_before[names] = asked | asked_before[names[:-1]]
        own = asked - asked_before[names[:-1]]
        took_before[names] = max(least, took_before[names[:-1]])
        if own:
            # What leads to the field is asked again with it, and takes a little more or less each time.
            led = took_before[names[:-1]]
            more = took_before[names] - led if took_before[names] > (1 + NOISE) * led else 0
            fields[f"{way[-1][0]}.{way[-1][1]}"] = more
            for name in own:
                questions[name] = min(more, questions.get(name, float("inf")))
    return fields, questions


async def counted(http: httpx2.AsyncClient) -> dict[str, float]:
    """How often each question was asked of the database until now."""
    lines = (await http.get("/metrics")).text.splitlines()
    mark = "atlas_database_seconds_count{question="
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines if line.startswith(mark)}


def module(fields: dict[str, float], questions: dict[str, float], least: int, circuits: int) -> str:
    """The text of `api/request/weights.py`."""
    n_circuits = f"{circuits:,}".replace(",", " ")
    lines = [
        '"""Weights of questions, for the estimate of a query (`cost`) and for the slots of the database.',
        "",
        f"`bench/question_weights.py` measured them on {n_circuits} circuits and wrote this file.",
        '"""',
        "",
        "FIELD_MS: dict[str, int] = {",
        *(f'    "{name}": {round(ms)},' for name, ms in sorted(fields.items()) if ms >= least),
        "}",
        '"""GraphQL fields whose questions take the database long: CPU ms. The others count as nothing."""',
        "",
        "HEAVY: frozenset[str] = frozenset(",
        "    {",
        *(f'        "{name}",' for name, ms in sorted(questions.items()) if ms >= HEAVY_MS),
        "    }",
        ")",
        f'"""Questions that take the database at least {HEAVY_MS} ms."""',
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
