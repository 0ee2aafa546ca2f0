"""The table of all figures, by name."""

from figures.claims import CLAIMS
from figures.components import COMPONENTS
from figures.diagnostics import DIAGNOSTICS
from figures.flow import FLOW
from figures.heads import HEADS
from figures.hypotheses import HYPOTHESES
from figures.labels import LABELS
from figures.modules import MODULES
from figures.supernodes import SUPERNODES
from figures.tokens import TOKENS

CHARTS = {
    chart.name: chart
    for chart in (
        SUPERNODES,
        TOKENS,
        FLOW,
        HEADS,
        COMPONENTS,
        MODULES,
        LABELS,
        DIAGNOSTICS,
        CLAIMS,
        HYPOTHESES,
    )
}
