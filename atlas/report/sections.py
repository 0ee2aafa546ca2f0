"""Sections of a report: results of the studies from their files, everything else from the public API.

When the atlas has no answer to a question yet, the section names the command that makes the data.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from atlas.client import AtlasClient
from atlas.report.parts import Missing, PageLink, Part, Picture, Section, chart_picture
from atlas.studies.figures import drawn, study_figure
from atlas.studies.tables import measured_tables
from atlas.tables import Rows, tables
from figures.all import CHARTS
from schema.errors import AtlasError

Results = Mapping[str, dict[str, Any]]
"""Stored results by name of the study (see `atlas.studies.results`)."""

RUN_STUDIES = "atlas study run"


def study_sections(results: Results) -> list[Section]:
    """One section with the rates of all studies, then one section per study with its figure and numbers."""
    text = (
        "A rate is the share of held-out prompts on which an intervention did what the claim says. For "
        "comparison, the same edits are made with random features that write as much. n counts prompts."
    )
    if not results:
        missing = Missing(
            "No study has been run, or the results are in another folder (see --results)", RUN_STUDIES
        )
        return [Section("studies", "The studies", text, [missing])]
    rows = [
        [
            measured["title"],
            rate["claim"],
            f"{rate['rate']:.2f}",
            f"{rate['null_rate']:.2f}",
            rate["n"],
            f"{rate['edited']:.0f} of {rate['active']:.0f}",
        ]
        for measured in results.values()
        for rate in measured["rates"]
    ]
    columns = ["study", "intervention", "success", "random features", "n", "edited of active"]
    return [
        Section("studies", "The studies", text, [Rows("Every rate", columns, rows)]),
        *(_study(measured) for measured in results.values()),
    ]


def _study(measured: dict[str, Any]) -> Section:
    parts: list[Part] = []
    name = measured["study"]
    if (figure := study_figure(measured)) is not None:
        height, draw, shows = figure
        parts.append(Picture(f"study-{name}", f"{measured['title']}: {shows}", partial(drawn, height, draw)))
    parts += measured_tables(measured)
    made = f"Measured {measured['made_at'][:10]} on {measured['model']}, prompts: {measured['prompts']}."
    return Section(f"study-{name}", measured["title"], f"{measured['asks']} {made}", parts)


def atlas_sections(client: AtlasClient) -> list[Section]:
    """Sections about what the database holds. Raises UnreachableError when no API answers."""
    found = []
    for name, title, text, charts, command in SECTIONS:
        parts: list[Part] = []
        if not CHARTS.keys() & set(charts) and not _question(name).is_file():
            continue
        for chart in charts:
            parts += _charts(client, chart, name)
        parts += _tables(client, name, command)
        if not any(isinstance(part, (Picture, Rows)) for part in parts):
            parts = [*parts[:1]] or [Missing("The atlas has nothing for this yet", command)]
        found.append(Section(name, title, text, parts))
    return found


def components_sections(results: Results) -> list[Section]:
    """Sections on attention against MLPs and on the stages of flow, from the study of components."""
    missing = Missing("The study of components has not been run", f"{RUN_STUDIES} components")
    findings = results.get("components", {}).get("findings", [])
    found = []
    for name, title, text, begins in (
        (
            "attention-mlp",
            "Attention against MLP",
            "How much of the influence that crosses a layer runs through attention heads; the rest bypasses "
            "them.",
            "share of influence",
        ),
        (
            "stages",
            "The stages of attribution flow",
            "How the influence of a circuit's features is distributed over early, middle and late layers. "
            "A feature counts where its MLP is.",
            "share of feature influence",
        ),
    ):
        rows: dict[str, list[Any]] = {}
        columns = ["family"]
        for each in findings:
            family, _, what = each["what"].partition(": ")
            if what.startswith(begins):
                columns += [what] * (what not in columns)
                rows.setdefault(family, [family]).append(f"{each['value']:.2f}")
        found.append(
            Section(name, title, text, [Rows("", columns, list(rows.values()))] if rows else [missing])
        )
    return found


def _question(section: str) -> Traversable:
    return resources.files("atlas.report").joinpath("graphql", f"{section}.graphql")


def _charts(client: AtlasClient, name: str, section: str) -> list[Part]:
    chart = CHARTS.get(name)
    if chart is None:
        return []
    found: list[Part] = []
    for number, variables in enumerate(_variables(client, name)):
        try:
            answer = client.query(chart.query, variables)
            svg = chart.svg(answer)
        except AtlasError as error:
            return [Missing(error.what, error.next_step)]
        found.append(
            chart_picture(chart, answer, svg, f"{section}-{name}" + (f"-{number}" if number else ""))
        )
    return found


def _variables(client: AtlasClient, name: str) -> Sequence[dict[str, Any]]:
    if name != "tokens":
        return [{}]
    families = client.query("{ families { name } }")["families"]
    return [{"filter": {"families": [family["name"]]}} for family in families[:4]]


def _tables(client: AtlasClient, name: str, command: str) -> list[Part]:
    file = _question(name)
    if not file.is_file():
        return []
    try:
        answer = client.query(file.read_text(encoding="utf-8"))
    except AtlasError as error:
        return [Missing(error.what, error.next_step or command)]
    made = [ROWS[name](answer)] if name in ROWS else tables(answer)
    rows = [rows for rows in made if rows.rows and not rows.scalars]
    return [*rows] if rows else [Missing("The atlas has nothing for this yet", command)]


def _label_rows(answer: dict[str, Any]) -> Rows:
    rows = [
        [
            PageLink.to(feature["neuronpediaUrl"], feature["id"]),
            feature["nCircuits"],
            label["text"],
            label["method"],
            *("" if label[key] is None else f"{label[key]:.2f}" for key in ("score", "nullScore")),
            {None: "", True: "yes", False: "no"}[label["beatsNull"]],
        ]
        for feature in answer["features"]["nodes"]
        for label in feature["labels"]
    ]
    return Rows("", ["feature", "circuits", "label", "method", "score", "null", "beats null"], rows)


def _module_rows(answer: dict[str, Any]) -> Rows:
    rows = [
        [
            f"module {module['number']}",
            module["nFeatures"],
            f"{module['within']:.2f}",
            ", ".join(f"{each['family']} {each['share'] or 0:.2f}" for each in module["families"][:3]),
            "; ".join(
                next((label["text"].split(":")[0] for label in member["feature"]["labels"]), "(no label)")
                for member in module["strongest"]
            ),
        ]
        for module in answer["modules"]["nodes"]
    ]
    columns = ["module", "features", "effects that stay inside", "share by family", "strongest features"]
    return Rows("", columns, rows)


def _transcoder_rows(answer: dict[str, Any]) -> Rows:
    sets = {each["transcoders"]["id"]: each["transcoders"] for each in answer["circuits"]["nodes"]}
    rows = [
        [
            name,
            each["name"],
            *(
                "" if each[key] is None else f"{each[key]:.3f}"
                for key in ("agreement", "kl", "lossRecovered")
            ),
            "" if each["name"] != "all" or found["fvu"] is None else f"{found['fvu']:.3f}",
        ]
        for name, set_ in sets.items()
        if (found := set_["measured"]) is not None
        for each in found["replacements"]
    ]
    columns = ["transcoders", "layers replaced", "agreement", "KL, nats", "loss recovered", "median FVU"]
    return Rows("", columns, rows)


ROWS = {"labels": _label_rows, "cortex": _module_rows, "transcoders": _transcoder_rows}
"""Section → function that makes its table. In the other sections the answer itself is the table."""


SECTIONS: Sequence[tuple[str, str, str, tuple[str, ...], str]] = (
    (
        "families",
        "What the atlas holds",
        "For each prompt family: the number of circuits, how often the model's answer is the expected one, "
        "and how well the circuits explain the answers. nDerived counts circuits whose influence, scores or "
        "error share were derived from a pruned file: they belong to the kept graph, or are bounds.",
        (),
        "atlas ingest",
    ),
    (
        "transcoders",
        "How well the transcoders stand for the MLPs",
        "The next-token predictions of the model when the MLPs of some layers are replaced by the "
        "transcoders: how often the most probable token is the model's. A circuit's replacement score is "
        "another thing, because its errors carry the model's own activations.",
        (),
        "atlas transcoders measure",
    ),
    (
        "heads",
        "Head importance",
        "The influence that each attention head carries, as the mean over a family's circuits (gross: parts "
        "of opposite sign do not cancel), and the effect of ablating the head on the answer.",
        ("heads", "components"),
        "atlas ingest --heads",
    ),
    (
        "cortex",
        "The cortex: modules of the feature graph",
        "Communities of features with recurring effects, compared with rewired graphs, and the prompt "
        "families that use each community.",
        ("modules",),
        "atlas modules compute",
    ),
    (
        "tokens",
        "Token heatmaps",
        "How much each input token contributes to each candidate for the output, over all paths of one "
        "circuit of a family. Errors, biases and the pruned part have columns of their own.",
        ("tokens",),
        "atlas ingest",
    ),
    (
        "quadrants",
        "What graphs claim against what interventions show",
        "Edges and features that a graph calls important or unimportant, compared with whether an "
        "intervention on the real model has an effect.",
        ("quadrants", "diagnostics"),
        "atlas diagnose",
    ),
    (
        "labels",
        "Labels and their scores",
        "The features that occur in most circuits. The score of a label is its balanced accuracy on texts "
        "from which it was not made; the null is the score of labels of other features.",
        (),
        "atlas label",
    ),
    (
        "supernodes",
        "Supernodes and their scores",
        "Groups of features with a common meaning. The score comes from the method that made the group.",
        (),
        "atlas supernodes",
    ),
)
"""Name, title, text, names of charts in `figures.all`, and the command that makes the data, by section."""
