"""What a query will ask next, seen before it is asked: so that both travel to the database in one message."""

from collections.abc import Mapping

from strawberry.types.nodes import SelectedField

from api.connection import window
from api.loaders import Ahead, Info
from schema.errors import InputError, LimitError


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
