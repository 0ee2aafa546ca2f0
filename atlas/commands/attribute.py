"""`atlas attribute`: one prompt's attribution graph as a file."""

import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer

from atlas.commands.options import (
    Chat,
    Device,
    Dtype,
    EdgeThreshold,
    FirstToken,
    MaxEdges,
    MaxFeatureNodes,
    Memory,
    ModelPath,
    NodeThreshold,
    TargetText,
    TranscodersPath,
    err,
)
from ingest.circuits.limits import MAX_FEATURE_NODES
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from schema.counted import counted
from schema.errors import InputError


def attribute(
    prompt: Annotated[str, typer.Option(help="The text to attribute.")],
    out_path: Annotated[
        Path, typer.Option("--out", help="The graph JSON file to write; `-` writes to the standard output.")
    ],
    model: ModelPath = MODEL_DIR,
    transcoders: TranscodersPath = TRANSCODERS_DIR,
    device: Device = "auto",
    dtype: Dtype = "float32",
    node_threshold: NodeThreshold = 0.8,
    edge_threshold: EdgeThreshold = 0.98,
    max_feature_nodes: MaxFeatureNodes = MAX_FEATURE_NODES,
    max_edges: MaxEdges = None,
    target: TargetText = None,
    first_token: FirstToken = "left-out",
    chat: Chat = False,
    memory: Memory = None,
    slug: Annotated[
        str | None, typer.Option(help="Name of the graph inside the file.", show_default="from the prompt")
    ] = None,
    heads: Annotated[
        bool, typer.Option("--heads", help="Also write how much of each edge each attention head carries.")
    ] = False,
    qk: Annotated[
        list[str] | None,
        typer.Option(
            help="Also write which pairs of sources make up the attention scores of LAYER/HEAD@POSITION, "
            "such as 3/1@5. Repeat the option for several heads."
        ),
    ] = None,
) -> None:
    """Write one prompt's attribution graph as circuit-tracer's graph JSON, without a database.

    For example: `atlas attribute --prompt "the capital of texas is" --out graph.json`. `atlas import
    graph.json` loads the file into the database.

    The thresholds 1 and 1 write the unpruned graph, of at most 7500 features unless --max-feature-nodes says
    otherwise.
    """
    from ingest.circuits.heads import lines
    from ingest.circuits.run import attribute_one
    from ingest.engine.attribution.budget import parse_memory
    from ingest.engine.attribution.targets import DEFAULT, parse
    from schema.exports.graph_json import to_json, write

    circuit = attribute_one(
        prompt,
        model=model,
        transcoders=transcoders,
        device=device,
        dtype=dtype,
        node_threshold=node_threshold,
        edge_threshold=edge_threshold,
        max_feature_nodes=max_feature_nodes,
        max_edges=max_edges,
        target=DEFAULT if target is None else parse(target),
        first_token=first_token,
        chat=chat,
        memory=None if memory is None else parse_memory(memory),
        heads=heads,
        qk=qk or (),
        say=lambda text: err.print(text, markup=False, soft_wrap=True),
    )
    if str(out_path) == "-":
        sys.stdout.buffer.write(orjson.dumps(to_json(circuit, slug=slug)) + b"\n")
        return
    try:
        write(circuit, out_path, slug=slug)
    except OSError as error:
        raise InputError(
            f"{out_path} cannot be written: {error.strerror}", next_step="give a path in a folder that exists"
        ) from error
    answer = circuit.answer
    said = "answer not among the targets"
    if answer is not None:
        said = f"answer {answer.token!r} (p = {answer.probability:.3f})"
    err.print(
        f"{out_path}: {counted(len(circuit.nodes), 'node')}, {counted(len(circuit.edges), 'edge')}; {said}; "
        f"replacement score {circuit.replacement_score:.3f}, "
        f"completeness score {circuit.completeness_score:.3f}",
        markup=False,
        soft_wrap=True,
    )
    for line in lines(circuit):
        err.print(line, markup=False, soft_wrap=True)
