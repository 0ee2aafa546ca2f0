"""What a query will ask next, seen before it is asked: so that both travel to the database in one message.

And what it cannot ask, because it does not name it: that is left where it is.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from strawberry.extensions import SchemaExtension
from strawberry.types.graphql import OperationType
from strawberry.types.nodes import SelectedField

from api.request.connection import window
from api.request.loaders import Ahead, Info
from schema.errors import InputError, LimitError
from schema.questions.features import CIRCUITS_OF_FEATURE
from schema.questions.graph import EDGES_OF_CIRCUIT, FEATURES_OF_CIRCUIT, NODES_OF_CIRCUIT
from schema.questions.structure import RECURRING_EDGES

PAGES_OF_FEATURE = {
    "circuits": Ahead(CIRCUITS_OF_FEATURE, {}),
    "drives": Ahead(RECURRING_EDGES, {"direction": "out", "min_circuits": 1}),
    "drivenBy": Ahead(RECURRING_EDGES, {"direction": "in", "min_circuits": 1}),
}
PAGES_OF_CIRCUIT = {
    "features": Ahead(FEATURES_OF_CIRCUIT, {}),
    "nodes": Ahead(NODES_OF_CIRCUIT, {"kind": None, "min_influence": None}),
    "edges": Ahead(EDGES_OF_CIRCUIT, {"source_kind": None, "target_kind": None}),
}


@lru_cache(256)
def columns_named(query: str) -> frozenset[str]:
    """Every word of a GraphQL query, as a column of facts would be called: a field has the column's name."""
    return frozenset(
        re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word).lower() for word in re.findall(r"\w+", query)
    )


class AsksForNamed(SchemaExtension):
    """Has the loaders bring no facts that the query does not name."""

    def on_execute(self) -> Iterator[None]:
        context = self.execution_context
        # The subscriptions of one socket share their loaders.
        if context.query is not None and context.operation_type is not OperationType.SUBSCRIPTION:
            context.context.loaders.want(columns_named(context.query))
        yield


def page_ahead(info: Info, pages: Mapping[str, Ahead]) -> Ahead | None:
    """The first page that the query asks of what is being resolved; None when there is none in sight.

    pages: for each field the page that it asks when no argument is given but `first` and `after`.
    """
    for field in info.selected_fields:
        for below in field.selections:
            if not isinstance(below, SelectedField) or below.directives:
                continue
            named = below.arguments
            if below.name not in pages or not named.keys() <= {"first", "after"}:
                continue
            first, after = named.get("first"), named.get("after")
            question, parameters = pages[below.name]
            try:
                where = window(info.context.limits, None if first is None else int(first), after)
            except (InputError, LimitError):
                return None  # it is told where the page is asked for
            return Ahead(question, {**parameters, **where._asdict()})
    return None
