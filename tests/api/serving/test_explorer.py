"""The explorer as it is served: its page under every address, its policy, and its vendored libraries."""

import hashlib
import json
import re

import pytest

from api.serving.explorer import FOLDER, POLICY, VIEWS
from tests.support.api import Api

MODULES = [*FOLDER.glob("*.js"), *FOLDER.glob("views/*.js")]
VENDOR = FOLDER / "vendor"


@pytest.mark.parametrize("path", ["/", *(f"/{view}" for view in VIEWS), "/circuit/x", "/feature/a%2F1%2F2"])
async def test_every_address_has_the_page_with_its_policy(api, path):
    answer = await api.http.get(path)
    assert (answer.status_code, answer.headers["content-security-policy"]) == (200, POLICY)
    assert '<script type="module" src="/explorer/main.js"></script>' in answer.text
    for file in re.findall(r'(?:src|href)="(/explorer/[^"]+)"', answer.text):
        loaded = await api.http.get(file)
        assert (loaded.status_code, loaded.headers["content-security-policy"]) == (200, POLICY), file


async def test_the_page_needs_no_token_and_other_addresses_are_unknown(api):
    async with Api(api.database, token="secret") as closed:
        del closed.http.headers["authorization"]
        for path in ("/", "/circuit/x", "/explorer/main.js", "/explorer/vendor/preact.js"):
            assert (await closed.http.get(path)).status_code == 200, path
        for path in ("/circuitry", "/explorers/main.js", "/export"):
            assert (await closed.http.get(path)).status_code == 401, path
    assert (await api.http.get("/nowhere")).status_code == 404
    assert (await api.http.get("/explorer/../app.py")).status_code == 404


def test_the_policy_forbids_scripts_in_the_markup():
    rules = dict(rule.strip().split(" ", 1) for rule in POLICY.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    page = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert re.search(r"<style|style=|\son\w+=|<script>", page) is None


def test_both_sides_know_the_same_views():
    script = (FOLDER / "addresses.js").read_text(encoding="utf-8")
    found = re.search(r"const VIEWS = (\[.*?\]);", script)
    assert found is not None
    assert tuple(json.loads(found[1])) == VIEWS


def test_modules_load_only_what_is_here():
    for module in MODULES:
        text = module.read_text(encoding="utf-8")
        for wanted in re.findall(r'^(?:import|export)\b[^"]*?from "([^"]+)"', text, re.MULTILINE | re.DOTALL):
            assert (module.parent / wanted).resolve().is_file(), f"{module.name} loads {wanted}"
        hosts = set(re.findall(r"https?://([\w.]+)", text)) - {"www.w3.org"}  # the name of SVG
        assert hosts == set(), module.name
        # Markup is made from text in one place only, where the text is escaped.
        assert (
            re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|dangerouslySet|\beval\b", text)
            is None
        )


def test_libraries_are_those_of_the_hashes_and_have_licenses():
    for line in (VENDOR / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, name = line.split()
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name
    wanted = json.loads((VENDOR / "package.json").read_text(encoding="utf-8"))["dependencies"]
    licenses = (VENDOR / "LICENSES.txt").read_text(encoding="utf-8")
    for name, version in wanted.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), f"{name} has no exact version"
        assert f"{name} {version} (" in licenses
    lock = (VENDOR / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
