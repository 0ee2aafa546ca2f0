"""Every figure by its name."""

from figures.diagnostics import DIAGNOSTICS
from figures.heads import HEADS
from figures.tokens import TOKENS

CHARTS = {chart.name: chart for chart in (HEADS, TOKENS, DIAGNOSTICS)}
