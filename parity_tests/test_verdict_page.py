"""The page of a verdict, in headless Chromium: no errors, no overflow, every finding."""

import numpy as np
import pytest

from parity_tests.test_page import browser as browser, needs_chromium, resize
from rope_parity import check_rope
from rope_parity.verdict_page import write
from rope_spec import Llama3, RopeSpec

SPEC = RopeSpec(head_dim=64, theta=5e5, rule=Llama3(8.0, 1.0, 4.0, 8192))


def rope(x, positions):
    """Without the scaling, with another theta, and NaN from position 3000 on."""
    angles = positions[..., None, None] * 10000.0 ** (-np.arange(0, 64, 2) / 64)
    angles = np.where(angles[..., :1] < 3000, angles, np.nan)
    a, b, cos, sin = x[..., :32], x[..., 32:], np.cos(angles), np.sin(angles)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1).astype(x.dtype)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "verdict.html"
    verdict = check_rope(rope, SPEC)
    write(path, verdict, "<theirs> against a config")
    return path, verdict


def test_every_finding_is_on_the_page(page):
    path, verdict = page
    text = path.read_text()
    assert set(verdict.names) == {"rule_missing", "theta", "table_ends"}
    assert "Wrong: 3 findings." in text and "&lt;theirs&gt; against a config" in text
    assert text.count("<li>") == 3 and text.count("<polyline") == 4
    assert text.count('<td class="broken">') == 2  # theta and the scaling


@needs_chromium
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows_and_nothing_is_wrong(browser, page, width):
    resize(browser, width)
    browser.get(page[0].as_uri())
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
