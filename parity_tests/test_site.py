"""The site: its code runs and prints what stands there; it builds without a warning, no link is
broken, nothing is fetched from elsewhere, and in headless Chromium it is readable on a phone and in
the dark.
"""

import contextlib
import functools
import http.server
import io
import os
import re
import shlex
import subprocess
import sys
import textwrap
import threading
import zlib
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urldefrag, urlparse

import pytest
import typer

import rope_jax
import rope_parity
import rope_parity.command
import rope_spec
import rope_torch
from parity_tests.test_page import browser as browser, needs_chromium, resize

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
ELSEWHERE = ("referee.md", "context_parallel.md")  # run by test_roads_in.py and sharded.py
RUN = [page for page in PAGES if page.name not in ELSEWHERE]
COLUMNS = 88  # of code on a page, at 1280 pixels
BLOCK = re.compile(
    r"^( *)```python\n(.*?)^ *```(?:\n\n```text\n(.*?)```)?", re.DOTALL | re.MULTILINE
)


def blocks(page):
    """The blocks of Python of a page, and what the text block below each says that it prints."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(textwrap.dedent(code), printed) for _, code, printed in found]


@pytest.mark.unchecked
@pytest.mark.parametrize("page", RUN, ids=[page.stem for page in RUN])
def test_the_code_of_a_page_prints_what_stands_there(page):
    names = {}
    for code, expected in blocks(page):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, str(page), "exec"), names)
        assert printed.getvalue() == expected


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_code_of_a_page_fits_its_width(page):
    lines = [line for code, printed in blocks(page) for line in (code + printed).splitlines()]
    assert [line for line in lines if len(line) > COLUMNS] == []


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_a_command_of_a_page_is_understood(page):
    group = typer.main.get_command(rope_parity.command.app)
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.splitlines():
            program, *arguments = shlex.split(line, comments=True)
            name, *options = arguments or ["report"]
            assert program == "rope-parity"
            group.commands[name].make_context(name, options)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for module in ("mkdocs", "material", "mkdocstrings", "mkdocs_jupyter"):
        pytest.importorskip(module, reason="the site is not built: pip install '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def address(site):
    """The site, served as a host would."""
    handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": silent})
    handler = functools.partial(handler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def silent(*_):
    """Log no request."""


def names_of(site):
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))


class Links(HTMLParser):
    """The ids of a page, what it links to, what it fetches, and its pictures without a text."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.fetched, self.silent = set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = {name: value or "" for name, value in attributes}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif "src" in values or (tag == "link" and values.get("rel") != "canonical"):
            self.fetched.append(values.get("src", values.get("href", "")))
        if tag == "img" and not values.get("alt"):
            self.silent.append(values.get("src", "")[:40])


@pytest.fixture(scope="module")
def links(site):
    return {name: Links((site / name).read_text(encoding="utf-8")) for name in names_of(site)}


def is_elsewhere(link):
    return bool(urlparse(link).scheme or link.startswith("//"))


def test_no_internal_link_is_broken(site, links):
    broken = []
    for name, page in links.items():
        for link in page.links + page.fetched:
            path, fragment = urldefrag(unquote(link))
            if is_elsewhere(link) or name == "404.html":
                continue
            target = ((site / name).parent / path).resolve() if path else site / name
            target = target / "index.html" if target.is_dir() else target
            known = links.get(target.relative_to(site.resolve()).as_posix()) if path else page
            if not target.exists() or fragment and known and fragment not in known.ids:
                broken.append((name, link))
    assert broken == []


def test_nothing_is_fetched_from_elsewhere(site, links):
    fetched = [link for page in links.values() for link in page.fetched]
    assert [link for link in fetched if is_elsewhere(link) and not link.startswith("data:")] == []
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert not any(re.search(r"(?:@import|url\()[\"' ]*(?:https?:)?//", style) for style in styles)


def test_every_picture_of_a_page_has_a_text(links):
    pages = {name: page.silent for name, page in links.items() if "notebooks/" not in name}
    assert {name: silent for name, silent in pages.items() if silent} == {}


def public(package):
    """What is imported from a package: its names that are no modules of its own."""
    names = [name for name in vars(package) if not name.startswith("_")]
    return {n for n in names if not isinstance(getattr(package, n), ModuleType)}


def test_every_public_name_has_its_place(site):
    inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    described = {line.split(" ")[0] for line in zlib.decompress(inventory).decode().splitlines()}
    for package in (rope_spec, rope_jax, rope_torch):
        expected = {f"{package.__name__}.{name}" for name in public(package)}
        assert expected - described == set()
    rooms = [name for names in rope_parity.ROOMS.values() for name in names]
    assert {f"rope_parity.{name}" for name in rooms} - described == set()


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_is_readable(browser, site, address, width, scheme):
    """No error, no request elsewhere, nothing that scrolls sideways, and the colours asked for."""
    resize(browser, width)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    for name in names_of(site):
        browser.get(f"{address}/{name}")
        assert (name, browser.get_log("browser")) == (name, [])
        resources = "return performance.getEntriesByType('resource').map(entry => entry.name)"
        elsewhere = [r for r in browser.execute_script(resources) if not r.startswith(address)]
        assert [r for r in elsewhere if not r.startswith(("data:", "blob:"))] == []
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        light = sum(map(int, re.findall(r"\d+", colour)[:3])) / 3
        assert light > 200 if scheme == "light" else light < 60
        pictures = "return [...document.images].filter(i => i.complete && !i.naturalWidth).length"
        assert browser.execute_script(pictures) == 0


@needs_chromium
def test_code_needs_no_scrolling_on_a_wide_page(browser, site, address):
    resize(browser, 1280)
    code = "return [...document.querySelectorAll('.jp-InputArea pre, article .highlight code')]"
    code += ".filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1)"
    code += ".map(e => e.innerText.slice(0, 60))"
    for name in names_of(site):
        browser.get(f"{address}/{name}")
        assert (name, browser.execute_script(code)) == (name, [])
