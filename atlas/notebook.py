"""What notebooks show: a circuit, a feature and a comparison as HTML, with the explorer's drawing.

The HTML is complete: it holds its data and the script that draws, so it needs no server. The drawing stands
in a frame of its own, which may run that script and nothing else. Without scripts, the table below remains.
"""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from schema.counted import counted

_PAGE = """<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy"
content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'">
<style>body {{ font: 13px system-ui, sans-serif; margin: 0; background: #fff; color: #1c2024 }}
svg {{ max-width: 100%; height: auto }} #said {{ min-height: 1.4em }} .signs {{ color: #6b737c }}</style>
<p id="said">Point at a node.</p><div id="drawing"></div>
<p class="signs">Disc: feature. Hollow diamond: error. Square: token. Triangle: answer. Solid blue: raises.
Dashed orange: lowers. Width: strength. Number under a token: its part in the answer.{more}</p>
<script type="application/json" id="data">{data}</script><script type="module">{script}</script>"""
EDGE_SHARE = 0.9
"""Share of the edges' strength that the drawing shows."""


def _text(value: object) -> str:
    if value is None:
        return "unknown"
    return html.escape(f"{value:.3g}" if isinstance(value, float) else str(value))


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{html.escape(each)}</th>" for each in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _drawing(circuits: Sequence[Mapping[str, Any]]) -> str:
    """The drawing of one circuit, or of two side by side, as a frame."""
    data = {
        "edges": EDGE_SHARE,
        "circuits": [
            {
                "graph": each["graph"],
                "tokens": each["prompt"]["displayTokens"],
                "title": f"{each['prompt']['text']} → {each['displayAnswer']}",
                "parts": _parts(each),
            }
            for each in circuits
        ],
    }
    folder = resources.files("api").joinpath("explorer")
    script = "\n".join(
        folder.joinpath(name).read_text(encoding="utf-8") for name in ("drawing.js", "notebook.js")
    )
    # `<` could end the script; in JSON, its escape means the same.
    more = " Ring: in one circuit only." if len(circuits) > 1 else ""
    page = _PAGE.format(data=json.dumps(data).replace("<", "\\u003c"), script=script, more=more)
    return (
        f'<iframe sandbox="allow-scripts" srcdoc="{html.escape(page)}" title="Drawing" '
        'style="width: 100%; height: 620px; border: 0"></iframe>'
    )


def _parts(circuit: Mapping[str, Any]) -> list[float] | None:
    """The contribution of each token to the most probable output."""
    outputs = circuit["tokenAttribution"]["outputs"]
    if not outputs:
        return None
    weights = [0.0] * len(circuit["prompt"]["displayTokens"])
    for part in outputs[0]["tokens"]:
        weights[part["position"]] += part["weight"]
    return weights


def _label(feature: Mapping[str, Any]) -> str:
    return str(feature["labels"][0]["text"]) if feature["labels"] else ""


_CIRCUIT_FIELDS = """id displayAnswer correct replacementScore completenessScore errorShare
  prompt { text displayTokens family }
  tokenAttribution { outputs { tokens { position weight } } }
  features(first: 15) { nodes { influence feature { id labels { text } } } }
  graph {
    nodes { id kind layer position index influence cumulative activation token probability feature label }
    sources targets weights }"""
CIRCUIT = f"query ($id: ID!) {{ circuit(id: $id) {{ {_CIRCUIT_FIELDS} }} }}"
COMPARISON = f"""query ($a: ID!, $b: ID!, $align: Align!) {{
  compareCircuits(a: $a, b: $b, align: $align) {{
    a {{ {_CIRCUIT_FIELDS} }} b {{ {_CIRCUIT_FIELDS} }}
    featuresOnlyInA(first: 15) {{ totalCount nodes {{ influenceA feature {{ id labels {{ text }} }} }} }}
    featuresOnlyInB(first: 15) {{ totalCount nodes {{ influenceB feature {{ id labels {{ text }} }} }} }}
    featuresInBoth(first: 15) {{ totalCount
      nodes {{ influenceA influenceB difference feature {{ id labels {{ text }} }} }} }} }} }}"""
FEATURE = """query ($id: ID!) { feature(id: $id) {
  id layer index nCircuits nConsidered density promotes suppresses neuronpediaUrl
  labels { text method score nullScore }
  families { family nCircuits nConsidered share }
  examples(first: 5) { nodes { tokens activations } }
  circuits(first: 15) { totalCount nodes { influence circuit { id displayAnswer prompt { text } } } } } }"""


@dataclass(frozen=True)
class CircuitView:
    """A circuit that a notebook draws."""

    data: dict[str, Any]
    """GraphQL's answer."""

    def _repr_html_(self) -> str:
        circuit = self.data
        rows = [
            (use["feature"]["id"], _label(use["feature"]), use["influence"])
            for use in circuit["features"]["nodes"]
        ]
        return (
            f"<p><strong>{_text(circuit['prompt']['text'])}</strong> → {_text(circuit['displayAnswer'])}. "
            f"Replacement {_text(circuit['replacementScore'])}, completeness "
            f"{_text(circuit['completenessScore'])}, error share {_text(circuit['errorShare'])}.</p>"
            + _drawing([circuit])
            + _table(("feature", "label", "influence"), rows)
        )


@dataclass(frozen=True)
class FeatureView:
    """A feature that a notebook shows: labels, contexts with shaded activations, and its circuits."""

    data: dict[str, Any]
    """GraphQL's answer."""

    def _repr_html_(self) -> str:
        feature = self.data
        uses = feature["circuits"]["nodes"]
        rows = [
            (use["circuit"]["prompt"]["text"], use["circuit"]["displayAnswer"], use["influence"])
            for use in uses
        ]
        labels = [(each["text"], each["method"], each["score"]) for each in feature["labels"]]
        words = ", ".join(feature["promotes"][:10])
        promotes = f" It promotes {_text(words)}." if words else ""
        return (
            f"<p><strong>{_text(feature['id'])}</strong> is in {feature['nCircuits']} of "
            f"{counted(feature['nConsidered'], 'circuit')}.{promotes}</p>"
            + _table(("label", "method", "score"), labels)
            + "".join(_context(each["tokens"], each["activations"]) for each in feature["examples"]["nodes"])
            + f"<p>{len(rows)} of {counted(feature['circuits']['totalCount'], 'circuit')}:</p>"
            + _table(("prompt", "answer", "influence"), rows)
        )


def _context(tokens: Sequence[str], activations: Sequence[float]) -> str:
    """Tokens shaded by activation."""
    most = max((*activations, 1e-9))
    words = [
        f'<span title="{value:.3g}" style="background: rgb(242 163 60 / {max(0, value) / most:.2f})">'
        f"{html.escape(token)}</span>"
        for token, value in zip(tokens, activations, strict=True)
    ]
    return f"<p>{' '.join(words)}</p>"


@dataclass(frozen=True)
class ComparisonView:
    """Two circuits that a notebook draws side by side."""

    data: dict[str, Any]
    """GraphQL's answer."""

    def _repr_html_(self) -> str:
        found = self.data
        rows = [
            *(
                (_label(n["feature"]), n["feature"]["id"], n["influenceA"], "—")
                for n in _of(found, "OnlyInA")
            ),
            *(
                (_label(n["feature"]), n["feature"]["id"], "—", n["influenceB"])
                for n in _of(found, "OnlyInB")
            ),
            *(
                (_label(n["feature"]), n["feature"]["id"], n["influenceA"], n["influenceB"])
                for n in _of(found, "InBoth")
            ),
        ]
        counts = [found[f"features{where}"]["totalCount"] for where in ("OnlyInA", "OnlyInB", "InBoth")]
        return (
            f"<p>{counted(counts[0], 'feature')} only in A, {counts[1]} only in B, {counts[2]} in both.</p>"
            + _drawing([found["a"], found["b"]])
            + _table(("label", "feature", "influence in A", "influence in B"), rows)
        )


def _of(found: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    return list(found[f"features{where}"]["nodes"])
