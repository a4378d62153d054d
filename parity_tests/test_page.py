"""The page, in headless Chromium: no console errors, every row, details that open, nothing that
overflows a phone.
"""

import re
import shutil
from dataclasses import replace

import pytest
from rich.console import Console

from rope_parity import page
from rope_parity.cases import CONFIGS, cases_of
from rope_parity.environment import environment
from rope_parity.run import NotMeasured, run

NAMES = ("llama-3.1-8b", "gemma-3-4b", "qwen2-vl-7b", "smollm2-135m")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="apt-get install chromium chromium-driver"
)


@pytest.fixture(scope="module")
def cases():
    return [case for name in NAMES for case in cases_of(name, CONFIGS / f"{name}.json")]


@pytest.fixture(scope="module")
def outcome(cases):
    return run(cases, Console(quiet=True), ["cpu"])


@pytest.fixture(scope="module")
def written(tmp_path_factory, cases, outcome):
    path = tmp_path_factory.mktemp("page") / "report.html"
    page.write(path, cases, outcome, environment(), Console(quiet=True))
    return path


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-sync",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def resize(browser, width, height=900):
    """The size of the page itself, which a window cannot always be made as small as."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def test_it_needs_nothing_from_elsewhere(written):
    text = written.read_text()
    assert (
        not re.findall(r"(?:src|href)=\"(?!#|data:)", text)
        and "@import" not in text
        and "url(" not in text
    )


def test_every_figure_is_on_the_page(written, cases, outcome):
    text = written.read_text()
    assert text.count("<details") == len(cases)
    assert text.count("<td>✓</td>") == len(outcome.records)
    assert f"All {len(outcome.records)} comparisons keep their bound" in text


def test_a_broken_bound_is_loud(tmp_path, cases, outcome):
    """In the verdict, in its cell, in its row."""
    broken = [
        replace(record, ok=False) if i == 5 else record for i, record in enumerate(outcome.records)
    ]
    page.write(
        tmp_path / "broken.html",
        cases,
        outcome._replace(records=broken),
        environment(),
        Console(quiet=True),
    )
    text = (tmp_path / "broken.html").read_text()
    assert f"1 of {len(broken)} comparisons break their bound" in text
    assert text.count('<td class="broken"') == 1 and text.count("✗ broken") == 1


def test_what_was_not_measured_is_said(tmp_path, cases, outcome):
    """A case without any record has no row; one without transformers has no curve of it."""
    first, second = (case.name for case in cases[:2])
    kept = [
        r
        for r in outcome.records
        if r.case != first and (r.case, r.right) != (second, "transformers")
    ]
    absent = [
        NotMeasured(first, "ValueError: x < 0"),
        NotMeasured(second, "no class", failed=False),
    ]
    page.write(
        tmp_path / "page.html",
        cases,
        outcome._replace(records=kept, not_measured=absent),
        environment(),
        Console(quiet=True),
    )
    text = (tmp_path / "page.html").read_text()
    assert (
        f"Could not be measured: {first}: ValueError: x &lt; 0" in text
        and f"Not measured: {second}: no class" in text
    )
    assert text.count("<details") == len(cases) - 1 and text.count("</i>transformers") == 2 * (
        len(cases) - 2
    )


@needs_chromium
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows_and_nothing_is_wrong(browser, written, cases, width):
    resize(browser, width)
    browser.get(written.as_uri())
    assert browser.get_log("browser") == []
    assert len(browser.find_elements("css selector", ".matrix tbody tr")) == len(cases)
    for details in browser.find_elements("css selector", "details"):
        browser.execute_script("arguments[0].open = true", details)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    wide = "return [...document.querySelectorAll('body *')]"
    wide += ".filter(e => !e.closest('.scroll') && !e.closest('thead')"
    wide += " && e.getBoundingClientRect().right > innerWidth + 1).length"
    assert browser.execute_script(wide) == 0


@needs_chromium
def test_a_detail_opens_by_a_click_and_by_the_keyboard(browser, written):
    from selenium.webdriver import ActionChains, Keys

    resize(browser, 1280)
    browser.get(written.as_uri())
    link = browser.find_element("css selector", ".matrix a")
    link.click()
    first = browser.find_element("css selector", "details")
    assert (
        first.get_attribute("open")
        and first.find_element("css selector", "polyline").is_displayed()
    )
    second = browser.find_elements("css selector", "summary")[1]
    browser.execute_script("arguments[0].focus()", second)
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    assert browser.find_elements("css selector", "details")[1].get_attribute("open")
