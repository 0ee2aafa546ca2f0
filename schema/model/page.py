"""The page `docs/graph-model.md`: a drawing of the graph model and all its declarations."""

from schema.model.core import NODES, RELATIONSHIPS
from schema.model.declare import Property

DRAWN = (
    ("What it is about", ("Model", "TranscoderSet", "Feature", "Label")),
    ("What was asked", ("Prompt", "Family", "Tag", "Run", "Entry")),
    ("One circuit", ("Circuit", "Node", "FeatureNode", "Supernode", "Concept")),
)
"""The boxes of the drawing; labels that only refine another are named in the box of that one."""


def markdown() -> str:
    """The content of `docs/graph-model.md`."""
    lines = ["# The graph model", "", "<!-- Written by schema/model/core.py; do not edit. -->", ""]
    lines += [
        *_drawing(),
        "",
        "An optional property is absent when its value is unknown: absent is never zero.",
        "",
        "## Nodes",
        "",
    ]
    for node in NODES:
        also = f" (a {node.refines})" if node.refines else ""
        lines += [f"### `:{node.label}`{also}", "", node.about, ""]
        if node.properties:
            lines += _table(node.properties, node.key)
        indexed = [f"`{', '.join(names)}`" for names in node.indexes]
        indexed += [f"full text `{index}` over `{field}`" for index, field in node.full_text]
        indexed += [f"vectors `{each.name}` over `{each.property}`" for each in node.vectors]
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


def _drawing() -> list[str]:
    """A Mermaid flowchart: one box a label, one arrow a relationship type, aggregates dashed."""
    lines = ["```mermaid", "flowchart LR"]
    kinds = " · ".join(node.label for node in NODES if node.refines == "Node" and node.label != "FeatureNode")
    for number, (title, labels) in enumerate(DRAWN):
        lines.append(f'  subgraph part{number}["{title}"]')
        for label in labels:
            text = f"Node<br/>{kinds}" if label == "Node" else label
            lines.append(f'    {label}["{text}"]')
        lines.append("  end")
    lines.append("  FeatureNode -. is a .-> Node")
    for each in RELATIONSHIPS:
        arrow = "-.->" if each.aggregate else "-->"
        lines.append(f"  {each.source} {arrow}|{each.type}| {each.target}")
    return [*lines, "```", "", "Dashed: aggregates, kept up to date by every load and delete."]


def _table(properties: tuple[Property, ...], key: str | None) -> list[str]:
    rows = ["| property | type | |", "|---|---|---|"]
    for each in properties:
        kind = each.type if each.always else f"{each.type}, optional"
        about = each.about.replace("|", "\\|")
        rows.append(f"| `{each.name}` | {kind} | {about}{' (unique)' if each.name == key else ''} |")
    return [*rows, ""]
