"""Writes English texts from Debian packages into a folder, to train the transcoders of a real model on.

    python bench/real_texts.py FOLDER

The packages are downloaded and unpacked, not installed. The machine needs `apt-get`, `dpkg-deb`, and a line
for Debian in its list of sources. Texts:

    debian-handbook    The Debian Administrator's Handbook, English edition: expository prose
    jargon-text        The Jargon File: a dictionary with long entries
    fortunes           quotations, proverbs, poems and jokes
"""

import gzip
import re
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path

PACKAGES = ("debian-handbook", "jargon-text", "fortunes")
BLOCKS = {"p", "h1", "h2", "h3", "h4", "li", "pre", "div", "dt", "dd", "tr"}
LEFT_OUT = {"script", "style", "head", "nav"}
NOT_ENGLISH_PROSE = {"ascii-art", "perl", "magic", "linuxcookie"}
"""Files of `fortunes` that are left out."""


class _Text(HTMLParser):
    """Collects the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._out = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._out += tag in LEFT_OUT
        if tag in BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._out -= tag in LEFT_OUT

    def handle_data(self, data: str) -> None:
        if not self._out:
            self.parts.append(data)


def plain(page: str) -> str:
    """The text of an HTML page, one paragraph on a line."""
    parser = _Text()
    parser.feed(page)
    lines = (re.sub(r"\s+", " ", line).strip() for line in "".join(parser.parts).split("\n"))
    return "\n".join(line for line in lines if len(line.split()) > 3)


def main(folder: Path) -> None:
    """Download, unpack, and write one text file for each page or collection."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        here = Path(temporary)
        here.chmod(0o755)
        subprocess.run(["apt-get", "download", "-qq", *PACKAGES], cwd=here, check=True)
        for package in here.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", package, here / "root"], check=True)
        share = here / "root/usr/share"
        texts = {
            page.stem: plain(page.read_text(encoding="utf-8"))
            for page in sorted((share / "doc/debian-handbook/html/en-US").glob("*.html"))
        }
        with gzip.open(share / "doc/jargon-text/jargon.txt.gz", "rt", encoding="utf-8") as file:
            texts["jargon"] = re.sub(r"\n\s+(?=\S)", " ", file.read())
        for path in sorted((share / "games/fortunes").glob("*")):
            if path.is_file() and not path.suffix and path.name not in NOT_ENGLISH_PROSE:
                sayings = path.read_text(encoding="utf-8", errors="ignore").split("\n%\n")
                texts[f"fortunes-{path.name}"] = "\n\n".join(sayings)
        for name, text in texts.items():
            if len(text.split()) > 100:
                (folder / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
        words = sum(len(text.split()) for text in texts.values())
    print(f"{len(texts)} texts, {words} words, in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
