"""Circuits: pruned attribution graphs of one prompt and one target."""

import asyncio
from typing import Annotated

import strawberry

from api.request.batching import Info, Listing, PageOf, reads
from api.request.connection import After, Connection, First, RowList, connect, connect_keys
from api.request.inputs import Kind, node_label
from api.types.entity import looked_up_by
from api.types.enumeration import described
from api.types.feature import FeatureUse
from api.types.heads import HeadUse
from api.types.node import CircuitGraph, CircuitNode, DirectEffect, load_nodes
from api.types.prompt import Prompt
from api.types.rows import columns
from api.types.run import Run
from api.types.supernode import (
    Grouping,
    OfAuthor,
    OfMethod,
    Supernode,
    SupernodeEffect,
    grouping_key,
    load_supernodes,
)
from api.types.tokens import TokenAttribution
from api.types.transcoders import TranscoderSet
from schema.circuit.records import Derived
from schema.circuit.token_display import displayed
from schema.questions.circuits import CIRCUITS_BY_ID, PROMPTS_BY_ID, CircuitRow
from schema.questions.flow import FLOW_OF_CIRCUIT
from schema.questions.graph import EDGES_OF_CIRCUIT, FEATURES_OF_CIRCUIT, GRAPH_OF_CIRCUIT, NODES_OF_CIRCUIT
from schema.questions.heads import HEADS_OF_CIRCUIT
from schema.questions.runs import RUNS_BY_ID, TRANSCODERS_BY_ID
from schema.questions.supernodes import GROUPINGS_OF_CIRCUIT, SUPERNODE_EDGES, SUPERNODES_OF_CIRCUIT

described(
    Derived,
    "A fact that was derived from a pruned graph file.",
    INFLUENCE="The influence of nodes, and all that is summed from it: each is the node's own share of all "
    "influence, from the cumulative shares of the file.",
    SHARE="The shares of effects: each is over the kept inputs of the target.",
    ERROR_SHARE="The error share: it is that of the kept nodes.",
    REPLACEMENT_SCORE="The replacement score: it is that of the kept graph.",
    COMPLETENESS_SCORE="The completeness score: it is that of the kept graph.",
)


def circuit_of(info: Info, id: str) -> "Circuit":
    return info.context.loaders.fact(CIRCUITS_BY_ID, id, Circuit.of)


async def load_circuits(info: Info, ids: list[str]) -> list["Circuit"]:
    """The circuits that exist, in the order of the ids."""
    return [Circuit.of(row) for row in await info.context.loaders.all_of(CIRCUITS_BY_ID, ids)]


PAGES: dict[str, PageOf] = {
    "features": Listing(FEATURES_OF_CIRCUIT),
    "nodes": Listing(NODES_OF_CIRCUIT, {"kind": None, "min_influence": None, "pinned": None}),
    "edges": Listing(EDGES_OF_CIRCUIT, {"source_kind": None, "target_kind": None}),
}
"""What the fields of a circuit ask when they have no argument but `first` and `after`."""


@looked_up_by(CIRCUITS_BY_ID)
@strawberry.type(description="A pruned attribution graph of one prompt and one target.")
class Circuit:
    id: strawberry.ID = strawberry.field(
        description="Hash of model, transcoder set, tokens, target and thresholds."
    )
    target: str | None = strawberry.field(
        description="The target of the attribution, for example `salient-logits(10, 0.95)`."
    )
    target_position: int = strawberry.field(description="Position whose next token was attributed, from 0.")
    answer: str | None = strawberry.field(
        description="The most probable next token: its exact text, with its leading space."
    )
    answer_probability: float | None = strawberry.field(description="Probability of the answer, 0 to 1.")
    correct: bool | None = strawberry.field(
        description="Whether the answer is an expected one, apart from spaces: the first token, or "
        "`continuation` when an expected answer has several tokens. Null when no answer is expected."
    )
    continuation: str | None = strawberry.field(
        description="The model's most probable continuation, as far as it was compared with an expected "
        "answer of several tokens. Null when the first token decided."
    )
    replacement_score: float | None = strawberry.field(
        description="Replacement score, 0 to 1: the share of the influence on the logits that runs "
        "through features and not through error nodes. Null when unknown."
    )
    completeness_score: float | None = strawberry.field(
        description="Completeness score, 0 to 1: the share of the nodes' inputs that do not come from "
        "error nodes, weighted by the nodes' influence. Null when unknown."
    )
    error_share: float | None = strawberry.field(
        description="Influence of the error nodes over the influence of features and error nodes before "
        "pruning, 0 to 1. A graph with a high error share explains little. If it is derived, it is the share "
        "among the kept nodes. Null when unknown."
    )
    error_share_low: float | None = strawberry.field(
        description="The error share if all influence that was pruned away belongs to features, 0 to 1. Null "
        "unless the error share is derived."
    )
    error_share_high: float | None = strawberry.field(
        description="The error share if all influence that was pruned away belongs to error nodes, 0 to 1. "
        "Null unless the error share is derived."
    )
    derived: list[Derived] = strawberry.field(
        description="What was derived from a pruned graph file, because the file does not give it. Derived "
        "influence is a share of all influence: compare it with derived influence only. Empty when "
        "everything was computed or read."
    )
    node_threshold: float | None = strawberry.field(
        description="Share of the nodes' influence that pruning was told to keep, 0 to 1. Null when unknown."
    )
    edge_threshold: float | None = strawberry.field(
        description="Share of the edges' influence that pruning was told to keep, 0 to 1. Null when unknown."
    )
    max_feature_nodes: int | None = strawberry.field(
        description="Largest number of features that were attributed from. Null when there was "
        "no limit or it is unknown."
    )
    max_edges: int | None = strawberry.field(
        description="Largest number of edges that were kept. Null when no edge was dropped for such a limit."
    )
    dtype: str | None = strawberry.field(
        description="Number format of the computation, for example `float32`."
    )
    special_first_token: bool | None = strawberry.field(
        description="Whether the prompt begins with a special token, whose features and "
        "error nodes were left out."
    )
    n_left_out: int | None = strawberry.field(
        description="Number of positions at the start whose features and error nodes were left out, because "
        "the transcoders were not trained on them. Null when unknown."
    )
    n_active_features: int | None = strawberry.field(
        description="Number of features that are active at some position of the prompt."
    )
    n_selected_features: int | None = strawberry.field(
        description="Number of active features that were attributed from."
    )
    kept_influence: float | None = strawberry.field(
        description="Share of the influence of all nodes that the nodes left after pruning hold, 0 to 1."
    )
    n_nodes: int = strawberry.field(description="Number of nodes after pruning.")
    n_edges: int = strawberry.field(description="Number of edges after pruning.")
    tool: str | None = strawberry.field(
        description="Tool in whose format the imported graph was, for example `neuronpedia`. Null for "
        "circuits that were not imported, like all fields from here to `generator`."
    )
    slug: str | None = strawberry.field(description="Name of the graph in its file.")
    source_set: str | None = strawberry.field(
        description="Neuronpedia's name for the transcoders. Null when the file does not give it."
    )
    creator: str | None = strawberry.field(
        description="Name of the graph's creator. Null when the file does not give it."
    )
    description: str | None = strawberry.field(
        description="Description of the graph. Null when the file does not give it."
    )
    title: str | None = strawberry.field(
        description="Title of the graph. Null when the file does not give it."
    )
    creator_url: str | None = strawberry.field(
        description="Address of the graph's creator. Null when the file does not give it."
    )
    source_urls: list[str] | None = strawberry.field(
        description="Addresses of the transcoders' features. Null when the file does not give them."
    )
    generator: str | None = strawberry.field(
        description="Name and version of the program that made the graph. Null when the file does not give "
        "them."
    )
    prompt_id: strawberry.Private[str]
    set_id: strawberry.Private[str]
    run_id: strawberry.Private[str | None]

    @classmethod
    def of(cls, row: CircuitRow) -> "Circuit":
        return cls(
            id=strawberry.ID(row.key),
            prompt_id=row.prompt,
            set_id=row.transcoders,
            run_id=row.run,
            derived=[Derived(name) for name in row.derived or ()],
            **columns(row, without=("prompt", "transcoders", "run", "derived")),
        )

    @strawberry.field(
        description="The answer as people see it: spaces at its ends, tabs and line ends are `␣`, `⇥` "
        "and `↵`.",
        metadata=reads("answer"),
    )
    def display_answer(self) -> str | None:
        return None if self.answer is None else displayed(self.answer)

    @strawberry.field(description="The prompt: its text, tokens, family, tags and expected answers.")
    def prompt(self, info: Info) -> Prompt:
        return info.context.loaders.fact(PROMPTS_BY_ID, self.prompt_id, Prompt.of)

    @strawberry.field(description="The transcoder set that the circuit was made with. It leads to the model.")
    def transcoders(self, info: Info) -> TranscoderSet:
        return info.context.loaders.fact(TRANSCODERS_BY_ID, self.set_id, TranscoderSet.of)

    @strawberry.field(
        description="The call of `atlas ingest` or `atlas import` that loaded the circuit. Null when unknown."
    )
    def run(self, info: Info) -> Run | None:
        if self.run_id is None:
            return None
        return info.context.loaders.fact(RUNS_BY_ID, self.run_id, Run.of)

    @strawberry.field(
        description="The nodes of the circuit. The highest influence comes first; nodes of "
        "unknown influence come last."
    )
    def nodes(
        self,
        info: Info,
        kind: Kind = None,
        min_influence: Annotated[
            float | None,
            strawberry.argument(description="Only nodes with at least this influence: 0 or more."),
        ] = None,
        pinned: Annotated[
            bool | None,
            strawberry.argument(description="Whether the nodes are pinned. Left out: all nodes."),
        ] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[CircuitNode]:
        asked = {"kind": node_label(kind), "min_influence": min_influence, "pinned": pinned}
        return connect_keys(info, Listing(NODES_OF_CIRCUIT, asked, self.id), first, after, load_nodes)

    @strawberry.field(description="The direct effects between the nodes. The greatest |weight| comes first.")
    def edges(
        self,
        info: Info,
        source_kind: Kind = None,
        target_kind: Kind = None,
        first: First = None,
        after: After = None,
    ) -> Connection[DirectEffect]:
        asked = {"source_kind": node_label(source_kind), "target_kind": node_label(target_kind)}
        return connect(info, Listing(EDGES_OF_CIRCUIT, asked, self.id), first, after, DirectEffect.of)

    @strawberry.field(
        description="The features of the circuit, each with all its positions taken together. The "
        "highest influence comes first."
    )
    def features(self, info: Info, first: First = None, after: After = None) -> Connection[FeatureUse]:
        return connect(info, Listing(FEATURES_OF_CIRCUIT, key=self.id), first, after, FeatureUse.of)

    @strawberry.field(
        description="The groupings of the circuit's features. Scored groupings come first, then those "
        "whose members hold the most influence."
    )
    async def groupings(self, info: Info) -> list[Grouping]:
        rows = await info.context.loaders.many(GROUPINGS_OF_CIRCUIT, self.id)
        return [Grouping(**columns(row)) for row in rows]

    @strawberry.field(description="The supernodes of one grouping, ordered by position and label.")
    async def supernodes(
        self,
        info: Info,
        method: OfMethod = None,
        author: OfAuthor = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Supernode]:
        key = await grouping_key(info, self.id, method, author)
        return connect_keys(info, Listing(SUPERNODES_OF_CIRCUIT, key=key), first, after, load_supernodes)

    @strawberry.field(
        description="The effects of the supernodes of one grouping on each other. The "
        "greatest |weight| comes first."
    )
    async def supernode_edges(
        self, info: Info, method: OfMethod = None, author: OfAuthor = None
    ) -> list[SupernodeEffect]:
        key = await grouping_key(info, self.id, method, author)
        return RowList(await info.context.loaders.many(SUPERNODE_EDGES, key), SupernodeEffect.of)

    @strawberry.field(
        description="The attention heads and the influence that runs through each. The head with the most "
        "influence comes first. Empty when the circuit was loaded without heads (`atlas ingest --heads`)."
    )
    async def heads(self, info: Info) -> list[HeadUse]:
        rows = await info.context.loaders.many(HEADS_OF_CIRCUIT, self.id)
        return [HeadUse.of(row) for row in rows]

    @strawberry.field(
        description="Contribution of each input token to each output candidate, summed over all "
        "paths through the features of the pruned graph, and the contributions of error nodes, "
        "biases and pruned effects."
    )
    async def token_attribution(self, info: Info) -> TokenAttribution:
        (row,) = await info.context.loaders.many(FLOW_OF_CIRCUIT, self.id)
        # Pure computing: other requests go on meanwhile.
        return await asyncio.to_thread(TokenAttribution.of, row)

    @strawberry.field(
        description="The whole pruned graph in one answer. `nodes` and `edges` return it in pages. Each "
        "node and each effect counts as one row of the request.",
        metadata=reads("nNodes", "nEdges"),
    )
    async def graph(self, info: Info) -> CircuitGraph:
        info.context.loaders.spend(self.n_nodes + self.n_edges)
        (row,) = await info.context.loaders.many(GRAPH_OF_CIRCUIT, self.id)
        return CircuitGraph.of(row)
