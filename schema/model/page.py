"""The page `docs/graph-model.md`: a diagram of the graph model and all declarations."""

from schema.model.core import NODES, RELATIONSHIPS
from schema.model.declare import Property

BOXES = (
    ("Model and features", ("Model", "TranscoderSet", "Feature", "Label")),
    ("Prompts and runs", ("Prompt", "Family", "Tag", "Run", "Entry")),
    ("One circuit", ("Circuit", "Node", "FeatureNode", "Supernode", "Concept")),
)
"""Title and labels of each box in the diagram. The box of a label also names the labels that refine it."""

INTRODUCTION = """
This page lists every node label, relationship type and property of the database. The names are those that you
type in Cypher, for example in the Neo4j console. [The console](console.md) has queries to start with.

How to read the tables:

- An optional property is absent when its value is unknown or does not apply. Absent never means 0.
- Layers, positions and indices count from 0. A share is a number from 0 to 1.
- Influence is the influence on the target logits in the attribution graph before pruning, as defined in
  "Circuit Tracing" (Anthropic 2025). An effect or weight is signed.
- Times are in UTC.
- (unique) marks the key of a label: the database has at most one node with that value.
"""


def markdown() -> str:
    """The text of `docs/graph-model.md`."""
    lines = ["# The graph model", "", "<!-- Written by schema/model/page.py; do not edit. -->"]
    lines += [INTRODUCTION, *_diagram(), "", "## Nodes", ""]
    for node in NODES:
        also = f" (also `:{node.refines}`)" if node.refines else ""
        lines += [f"### `:{node.label}`{also}", "", node.about, ""]
        if node.properties:
            lines += _table(node.properties, node.key)
        indexed = [f"`{', '.join(names)}`" for names in node.indexes]
        indexed += [f"`{field}` as full text (`{index}`)" for index, field in node.full_text]
        indexed += [f"`{each.property}` as vectors (`{each.name}`)" for each in node.vectors]
        if indexed:
            lines += [f"Indexed: {'; '.join(indexed)}.", ""]
    lines += ["## Relationships", ""]
    for relationship in RELATIONSHIPS:
        pattern = f"(:{relationship.source})-[:{relationship.type}]->(:{relationship.target})"
        lines += [f"### `{pattern}`", "", relationship.about, ""]
        if relationship.properties:
            lines += _table(relationship.properties, None)
        if relationship.indexes:
            indexed = [f"`{', '.join(names)}`" for names in relationship.indexes]
            lines += [f"Indexed: {'; '.join(indexed)}.", ""]
    return "\n".join(lines).rstrip() + "\n"


def _diagram() -> list[str]:
    """A Mermaid flowchart with one box for each label and one arrow for each relationship type."""
    lines = ["```mermaid", "flowchart LR"]
    kinds = " · ".join(node.label for node in NODES if node.refines == "Node" and node.label != "FeatureNode")
    for number, (title, labels) in enumerate(BOXES):
        lines.append(f'  subgraph part{number}["{title}"]')
        for label in labels:
            text = f"Node<br/>{kinds}" if label == "Node" else label
            lines.append(f'    {label}["{text}"]')
        lines.append("  end")
    lines.append("  FeatureNode -. is a .-> Node")
    for each in RELATIONSHIPS:
        arrow = "-.->" if each.aggregate else "-->"
        lines.append(f"  {each.source} {arrow}|{each.type}| {each.target}")
    return [
        *lines,
        "```",
        "",
        "Dashed arrows are aggregates. Every load and every deletion keeps them up to date.",
    ]


def _table(properties: tuple[Property, ...], key: str | None) -> list[str]:
    rows = ["| property | type | meaning |", "|---|---|---|"]
    for each in properties:
        kind = each.type if each.always else f"{each.type}, optional"
        about = each.about.replace("|", "\\|")
        rows.append(f"| `{each.name}` | {kind} | {about}{' (unique)' if each.name == key else ''} |")
    return [*rows, ""]
