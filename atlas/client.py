"""A client of the GraphQL API, for scripts and notebooks.

from atlas.client import AtlasClient

atlas = AtlasClient()
atlas.query("{ families { name nCircuits } }")     # one answer, as a dict
atlas.frame('''query ($after: String) { hubs(first: 100, after: $after) {
  pageInfo { hasNextPage endCursor } nodes { frequency feature { id } } } }''')  # a polars frame of all pages
atlas.download("contrast.features", positive={"tags": ["refuse"]},
               negative={"tags": ["comply"]})      # a whole list in one request
atlas.circuit_graph("0123456789abcdef0123")        # a networkx.DiGraph
atlas.circuit("0123456789abcdef0123")              # drawn by a notebook; also feature(…) and compare(…, …)
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx2 as httpx

from atlas.notebook import (
    CIRCUIT,
    COMPARISON,
    FEATURE,
    CircuitView,
    ComparisonView,
    FeatureView,
)
from schema.atomic_file import atomic_write
from schema.errors import AtlasError, InputError, LimitError, UnreachableError

if TYPE_CHECKING:
    import networkx
    import polars

DEFAULT_URL = "http://127.0.0.1:8000/graphql"
_PAGE = "pageInfo { hasNextPage endCursor }"
_RECURRING = f"""query ($least: Int!, $consistency: Float!, $families: [String!], $by: CountBy!,
  $after: String) {{
  recurringEdges(minCircuits: $least, signConsistency: $consistency, families: $families, countBy: $by,
                 first: 100, after: $after) {{
    {_PAGE} nodes {{ nCircuits nConsidered mean sd signConsistency source {{ id }} target {{ id }} }} }} }}"""

_REQUEST = """mutation ($prompts: [PromptInput!]!, $author: String!) {
  requestCircuits(prompts: $prompts, author: $author) { id state nDone nPrompts } }"""


class QueryError(AtlasError):
    """The API answered with errors. `code` is the code of the first error."""

    def __init__(self, what: str, code: str, next_step: str | None) -> None:
        super().__init__(what, next_step=next_step)
        self.code = code


class AtlasClient:
    """A connection to the API. Use it as a context manager, or call `close()`."""

    def __init__(self, url: str = DEFAULT_URL, *, token: str | None = None, timeout_s: float = 60.0) -> None:
        """url: address of the API. token: the content of the server's --token-file. timeout_s: seconds that
        an answer may take."""
        self.url = url
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(timeout=timeout_s, headers=headers)
        self._labelled: set[str] | None = None
        """The downloads that can have labels; None before the server was asked."""

    def __enter__(self) -> "AtlasClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def query(self, text: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The `data` of one query.

        Raises UnreachableError when nothing answers, LimitError when the answer takes too long, QueryError
        when the API answers with errors, InputError when another service answers at the address.
        """
        with self._named():
            answer = self._http.post(self.url, json={"query": text, "variables": dict(variables or {})})
        body = self._checked(answer)
        if body.get("data") is None:
            raise InputError(f"{self.url} answered without data", next_step="check the address")
        return dict(body["data"])

    def request_circuits(self, prompts: Sequence[str | Mapping[str, Any]], *, author: str) -> dict[str, Any]:
        """Request circuits of new prompts. Returns the job's `id`, `state`, `nDone` and `nPrompts`.

        prompts: texts, or dicts with `prompt`, `family`, `tags`, `expected` and `target`. author: who
        requests them. Repeating a request returns the same job; a failed job is queued again. Query `job(id)`
        for its progress. The server must have a token. Raises what `query` raises.
        """
        asked = [{"prompt": each} if isinstance(each, str) else dict(each) for each in prompts]
        return dict(self.query(_REQUEST, {"prompts": asked, "author": author})["requestCircuits"])

    def circuit(self, id: str) -> CircuitView:
        """A circuit. A notebook draws it, also when the server no longer runs; `.data` is GraphQL's answer.

        Raises InputError for an unknown id, and what `query` raises.
        """
        return CircuitView(_found(self.query(CIRCUIT, {"id": id})["circuit"], "circuit", id))

    def feature(self, id: str) -> FeatureView:
        """A feature. A notebook shows its labels, contexts and circuits; `.data` is GraphQL's answer.

        Raises InputError for an unknown id, and what `query` raises.
        """
        return FeatureView(_found(self.query(FEATURE, {"id": id})["feature"], "feature", id))

    def compare(self, a: str, b: str, *, align: str = "FREE") -> ComparisonView:
        """Two circuits. A notebook draws them side by side; `.data` is GraphQL's answer.

        align: how positions are compared: FREE, POSITION or FROM_END. Raises what `query` raises.
        """
        answer = self.query(COMPARISON, {"a": a, "b": b, "align": align})
        return ComparisonView(dict(answer["compareCircuits"]))

    def download(self, question: str, *, labels: bool = True, **arguments: Any) -> "polars.DataFrame":
        """The complete list that answers a question, such as `circuit.edges`, from one request.

        labels: whether a list of features gets columns with the first label of each feature and with the
        address of its page at Neuronpedia: `label` and `neuronpedia_url`, or `source_label`, `target_label`
        and so on where a row has several features. Both are null when unknown. arguments: the arguments of
        the GraphQL fields, with input objects as dicts. `GET /export` lists the questions with their
        arguments and columns. Raises what `query` raises, and InputError when polars is not installed.
        """
        polars = _library("polars")
        given = {**arguments, "labels": True} if labels and self._has_features(question) else arguments
        return polars.read_ipc_stream(self._export(f"{question}.arrow", given))

    def _has_features(self, question: str) -> bool:
        """Whether the rows of a download have features, which can be labelled."""
        if self._labelled is None:
            with self._named():
                answer = self._http.get(f"{self.url.removesuffix('/graphql')}/export")
            listed = answer.json()["questions"] if answer.status_code == 200 else []
            self._labelled = {
                each["name"]
                for each in listed
                if any(argument["name"] == "labels" for argument in each["arguments"])
            }
        return question in self._labelled

    def save(self, question: str, file: Path, **arguments: Any) -> None:
        """Write the complete list that answers a question to a file, without holding it in memory.

        The ending of the file's name chooses the format: csv, parquet, arrow or jsonl. The file gets its name
        only when it is complete.
        """
        with (
            self._named(),
            self._http.stream(
                "GET", self._export_url(f"{question}{file.suffix}"), params=_pairs(arguments)
            ) as answer,
        ):
            if answer.status_code != 200:
                answer.read()
                self._checked(answer)
            with atomic_write(file) as part, part.open("wb") as out:
                for piece in answer.iter_bytes():
                    out.write(piece)

    def _export_url(self, name: str) -> str:
        return f"{self.url.removesuffix('/graphql')}/export/{name}"

    def _export(self, name: str, arguments: Mapping[str, Any]) -> bytes:
        with self._named():
            answer = self._http.get(self._export_url(name), params=_pairs(arguments))
        if answer.status_code != 200:
            self._checked(answer)
        return answer.content

    def _lines(self, question: str, **arguments: Any) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._export(f"{question}.jsonl", arguments).splitlines()]

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turn errors of the connection into errors of the atlas."""
        try:
            yield
        except httpx.TimeoutException as error:
            raise LimitError(
                f"{self.url} did not answer in {self._http.timeout.read:.0f} s",
                next_step="ask for fewer rows (first: …) or fewer circuits",
            ) from error
        except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise UnreachableError(
                f"No atlas answers at {self.url}",
                next_step="start it with `atlas serve` (or `atlas demo`), or give another address with --api",
            ) from error

    def _checked(self, answer: httpx.Response) -> dict[str, Any]:
        """The body of an answer. Raises QueryError when the body has errors, InputError when it is not
        GraphQL."""
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict) or not ("data" in body or "errors" in body):
            raise InputError(
                f"{self.url} answered with status {answer.status_code}, but not as a GraphQL API",
                next_step="check the address; the address of an atlas ends in /graphql",
            )
        if body.get("errors"):
            first = body["errors"][0]
            extensions = first.get("extensions") or {}
            place = ".".join(str(step) for step in first.get("path") or ())
            raise QueryError(
                (f"{place}: " if place else "") + str(first.get("message")),
                str(extensions.get("code") or "GRAPHQL"),
                extensions.get("nextStep"),
            )
        return dict(body)

    def nodes(
        self, text: str, variables: Mapping[str, Any] | None = None, *, field: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Every node of a list, from all pages.

        text: a query that takes `$after: String`, passes it to the list's field, and asks for
        `pageInfo { hasNextPage endCursor }` and `nodes { … }` (or `edges { node { … } }`). field: path of the
        list, such as `circuit.edges`; required when the query asks for several lists. Raises InputError for a
        query without such a list, and what `query` raises.
        """
        after: str | None = None
        while True:
            data = self.query(text, {**(variables or {}), "after": after})
            page = _page(data, field)
            yield from page["nodes"] if "nodes" in page else (edge["node"] for edge in page["edges"])
            if not page["pageInfo"]["hasNextPage"]:
                return
            if page["pageInfo"]["endCursor"] == after:
                raise InputError(
                    "The query does not advance: its second page is its first page again",
                    next_step="declare $after: String in the query, and pass after: $after to the list",
                )
            after = page["pageInfo"]["endCursor"]

    def frame(
        self, text: str, variables: Mapping[str, Any] | None = None, *, field: str | None = None
    ) -> "polars.DataFrame":
        """The nodes of all pages as a polars frame. The fields of objects become dotted columns.

        `.to_pandas()` converts the frame for pandas. Arguments and errors are those of `nodes`.
        """
        polars = _library("polars")
        rows = [_flat(node) for node in self.nodes(text, variables, field=field)]
        return polars.DataFrame(rows, infer_schema_length=None)

    def circuit_graph(self, circuit: str) -> "networkx.DiGraph":
        """The attribution graph of a circuit: nodes by id, edges with `weight` and `share`.

        The graph has the attributes `circuit` and `derived`, which lists what was derived from a pruned file:
        with `INFLUENCE`, the influence of a node is its share of all influence; with `SHARE`, shares of edges
        are upper bounds. Nodes of features have their first `label` and their `neuronpedia_url`; both are
        None when unknown.

        Raises QueryError when the circuit does not exist, InputError when networkx is not installed.
        """
        graph = _library("networkx").DiGraph(circuit=circuit)
        for node in self._lines("circuit.nodes", id=circuit, labels=True):
            graph.add_node(node.pop("id"), **{**node, "kind": node["kind"].upper()})
        for edge in self._lines("circuit.edges", id=circuit):
            graph.add_edge(edge["source"], edge["target"], weight=edge["weight"], share=edge["share"])
        found = self.query("query ($id: ID!) { circuit(id: $id) { derived } }", {"id": circuit})["circuit"]
        graph.graph["derived"] = found["derived"]
        return graph

    def feature_graph(
        self,
        *,
        min_circuits: int = 2,
        sign_consistency: float = 0.0,
        families: list[str] | None = None,
        count_by: str = "PROMPTS",
    ) -> "networkx.DiGraph":
        """The graph of recurring effects: features by id, edges as `recurringEdges` returns them.

        min_circuits: the fewest circuits that an effect occurs in; sign_consistency: the lowest share of
        circuits with the more common sign; families: count only circuits of these prompt families;
        count_by: what counts as one, `PROMPTS`, `CLUSTERS` or `CIRCUITS`.
        """
        graph = _library("networkx").DiGraph()
        asked = {"least": min_circuits, "consistency": sign_consistency, "families": families, "by": count_by}
        for edge in self.nodes(_RECURRING, asked):
            source, target = edge.pop("source")["id"], edge.pop("target")["id"]
            graph.add_edge(source, target, **edge)
        return graph


def _found(data: dict[str, Any] | None, what: str, id: str) -> dict[str, Any]:
    if data is None:
        raise InputError(
            f"The atlas has no {what} with the id {id}",
            next_step=f"find ids with {{ {what}s {{ nodes {{ id }} }} }}",
        )
    return data


def _page(data: Mapping[str, Any], field: str | None) -> Mapping[str, Any]:
    """The page of the list in an answer. Raises InputError when the answer has no list or several."""
    if field is not None:
        found: Any = data
        for step in field.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
        pages = [found] if isinstance(found, Mapping) and "pageInfo" in found else []
    else:
        level: list[Any] = [data]
        pages = []
        while level and not pages:
            pages = [each for each in level if "pageInfo" in each]
            level = [value for each in level for value in each.values() if isinstance(value, Mapping)]
    if len(pages) != 1:
        raise InputError(
            f"The answer has {len(pages) or 'no'} lists with pageInfo" + (f" at {field}" if field else ""),
            next_step="ask for pageInfo { hasNextPage endCursor }, and name the list with field=… "
            "(the list of an id that does not exist is missing)",
        )
    return dict(pages[0])


def _pairs(arguments: Mapping[str, Any], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Arguments as pairs of a query string; nested objects get dotted names, lists repeat the name."""
    pairs: list[tuple[str, str]] = []
    for name, value in arguments.items():
        if isinstance(value, Mapping):
            pairs += _pairs(value, f"{prefix}{name}.")
        elif value is not None:
            values = value if isinstance(value, list | tuple) else [value]
            pairs += [
                (prefix + name, str(each).lower() if isinstance(each, bool) else str(each)) for each in values
            ]
    return tuple(pairs)


def _flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in node.items():
        row |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return row


def _library(name: str) -> Any:
    """Import a library that only frames and graphs need. Raises InputError when it is not installed."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(f"This needs {name}", next_step=f"install it: pip install {name}") from error
