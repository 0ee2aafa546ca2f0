"""Addresses of features at Neuronpedia."""

import pytest

from schema.circuit.neuronpedia_pages import Pages, feature_url, pages_of


@pytest.mark.parametrize(
    ("pages", "component", "url"),
    [
        (Pages("gemma-2-2b/clt-hp"), None, "https://www.neuronpedia.org/gemma-2-2b/20-clt-hp/7"),
        (Pages("gemma-2-2b/clt-hp"), "attention", None),
        (Pages(None, "m/lorsa-8x"), "attention", "https://www.neuronpedia.org/m/20-lorsa-8x/7"),
        (Pages(None), None, None),
        (Pages('m"><script>/a?b'), None, "https://www.neuronpedia.org/m%22%3E%3Cscript%3E/20-a%3Fb/7"),
    ],
)
def test_the_address_of_a_feature(pages: Pages, component: str | None, url: str | None) -> None:
    assert feature_url(pages, 20, 7, component) == url


def test_what_a_file_says_comes_before_the_table_of_published_sets() -> None:
    hub = "mntss/clt-gemma-2-2b-2.5M"
    assert pages_of(hub, None, None) == Pages("gemma-2-2b/clt-hp")
    assert pages_of(hub, "m/s", "m/a") == Pages("m/s", "m/a")
    assert pages_of("org/clt", None, None) == Pages(None)
