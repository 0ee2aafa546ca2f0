"""Takes the pictures of the explorer in the documentation, from a served demo.

python -m atlas.docs.explorer_pictures            # beside `make demo`: the pictures of docs/explorer.md
python -m atlas.docs.explorer_pictures --all DIR  # every view: laptop and phone, light and dark
"""

import argparse
import shutil
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from atlas.client import AtlasClient
from atlas.settings import Settings
from schema.errors import InputError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "explorer"
SIZES = {"laptop": (1366, 860), "phone": (390, 844)}
SHOWN = (
    *("start-laptop-light", "circuits-laptop-light", "circuit-laptop-light", "pinned-laptop-light"),
    *("supernodes-laptop-light", "feature-laptop-light", "compare-laptop-light", "contrast-laptop-light"),
    *("pinned-laptop-dark", "evidence-laptop-light"),
    *("circuit-phone-light", "compare-phone-light", "feature-phone-dark"),
)
"""The pictures that docs/explorer.md and the README show."""
COLOURS = 256
"""Colours of a picture: what one sees stays, and the file is a third as large."""
PHONE_HEIGHT = 1600
"""Pictures of a phone in the docs end here; the page may be longer."""
PROMPT = "the capital of the state containing north dallas is"
_FIND = """query ($pair: String, $text: String) { circuits(filter: {pair: $pair, text: $text}, first: 50) {
  nodes { id prompt { text pair } features(first: 50) { nodes { feature { id labels { text } } } } } } }"""


class ViewPicture(NamedTuple):
    """One picture to take."""

    name: str
    """Name of the view, size and colours."""
    path: str
    """Address of the view."""
    size: str
    colours: str


def views(client: AtlasClient) -> dict[str, str]:
    """Views of the demo by name, with their addresses. Raises InputError when another atlas is served."""
    found = client.query(_FIND, {"text": PROMPT})["circuits"]["nodes"]
    circuit = next((each for each in found if each["prompt"]["text"] == PROMPT), None)
    if circuit is None:
        raise InputError(
            f"The atlas at {client.url} is not the demo's", next_step="start it with `make demo`"
        )
    pair = client.query(_FIND, {"pair": circuit["prompt"]["pair"]})["circuits"]["nodes"]
    other = next(each["id"] for each in pair if each["id"] != circuit["id"])
    features = [use["feature"] for use in circuit["features"]["nodes"]]
    texas = next(
        (each["id"] for each in features for label in each["labels"] if "texas" in label["text"]),
        features[0]["id"],
    ).replace("/", "%2F")
    return {
        "start": "/",
        "search": "/search?text=dallas",
        "circuits": "/circuits?family=multi-step",
        "circuit": f"/circuit/{circuit['id']}",
        "pinned": f"/circuit/{circuit['id']}?feature={texas}",
        "supernodes": f"/circuit/{circuit['id']}?view=supernodes",
        "feature": f"/feature/{texas}",
        "compare": f"/compare/{circuit['id']}/{other}",
        "contrast": "/contrast?a=tag:refuse&b=tag:comply",
        "modules": "/modules",
        "evidence": "/evidence?figure=claims",
        "request": "/request",
        "choose": f"/compare/{circuit['id']}",
    }


def take(browser: "Browser", base: str, picture: ViewPicture, file: Path) -> None:
    """Open a view, wait for every panel, and save what one sees.

    Raises InputError when a panel never fills.
    """
    width, height = SIZES[picture.size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if picture.colours == "dark" else "light",
    )
    page = context.new_page()
    page.goto(base + picture.path)
    page.locator("h1").first.wait_for()
    for _ in range(600):
        page.wait_for_timeout(100)
        if not page.locator("[aria-busy=true]").count():
            break
    else:
        raise InputError(f"{picture.path} still waits for an answer", next_step="look at the server's log")
    page.wait_for_timeout(400)
    whole = Image.open(BytesIO(page.screenshot(full_page=picture.size == "phone"))).convert("RGB")
    seen = whole.crop((0, 0, whole.width, min(whole.height, PHONE_HEIGHT)))
    seen.quantize(COLOURS, kmeans=2, dither=Image.Dither.NONE).save(file, optimize=True)
    context.close()


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", default=Settings.load().api, help="address of the demo's API")
    parser.add_argument("--all", type=Path, help="folder for every view in every size and colour")
    given = parser.parse_args()
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise InputError("Chromium is not installed", next_step="on Debian: apt-get install chromium")
    folder = given.all or FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with AtlasClient(given.api) as client, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for view, address in views(client).items():
            for size in SIZES:
                for colours in ("light", "dark"):
                    picture = ViewPicture(f"{view}-{size}-{colours}", address, size, colours)
                    if given.all or picture.name in SHOWN:
                        take(
                            browser,
                            given.api.removesuffix("/graphql"),
                            picture,
                            folder / f"{picture.name}.png",
                        )
        browser.close()


if __name__ == "__main__":
    main()
