"""The HTML pages of the API, and the files of GraphiQL."""

from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

# A package that holds only GraphiQL's files, so that the page works without another server.
_GRAPHIQL_PACKAGE = "graphene_django_graphiql_static"


def html(name: str) -> str:
    """The text of a page in `api/serving/html`."""
    return resources.files("api.serving").joinpath("html", name).read_text(encoding="utf-8")


def graphiql_page() -> str:
    """GraphiQL; when its files are not installed, a page that says how to install them."""
    return html("graphiql.html" if find_spec(_GRAPHIQL_PACKAGE) else "no-graphiql.html")


def page_routes() -> list[BaseRoute]:
    """The scripts of the pages under `/pages`, and the files of GraphiQL, if installed, under `/graphiql`."""
    routes: list[BaseRoute] = [Mount("/pages", StaticFiles(directory=Path(__file__).parent / "html"))]
    spec = find_spec(_GRAPHIQL_PACKAGE)
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "static" / _GRAPHIQL_PACKAGE
        routes.append(Mount("/graphiql", StaticFiles(directory=folder)))
    return routes
