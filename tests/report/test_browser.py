"""The page as a reader sees it: in Chromium, from disk, without a network."""

import numpy as np
import pytest
from PIL import Image

from tests.reporting import browser

# The lightness of a colour, as WCAG 2 counts contrast.
LUMINANCE = """
(() => {
  const channels = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const linear = c => c <= 10 ? c / 3294.6 : ((c / 255 + .055) / 1.055) ** 2.4;
  const luminance = text => {
    const [r, g, b] = channels(text).map(linear);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const style = (where, name) =>
    luminance(getComputedStyle(document.querySelector(where))[name]);
  return [style("section", "backgroundColor"), style("section p", "color"),
          style("svg text", "fill"), style(".charts svg path[style*=run]", "stroke")];
})()
"""
SIDEWAYS = "document.documentElement.scrollWidth - window.innerWidth"
BROKEN = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
SMALLEST_LETTERS = """
Math.min(...[...document.querySelectorAll("svg text")].map(
  text => text.getBoundingClientRect().height))
"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    if not browser.find():
        pytest.skip(f"no browser on PATH: none of {', '.join(browser.NAMES)}")
    with browser.opened(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(scope="module")
def file(several, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(several, encoding="utf-8")
    return path


def contrast(one, other):
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


@pytest.mark.parametrize("width", [1280, 390])
def test_is_complete_and_quiet(tab, file, width):
    tab.show(file, width=width)
    asked = {address for address in tab.requests if not address.startswith("data:")}
    assert asked == {file.resolve().as_uri()}
    assert tab.complaints == []
    assert tab.ask(BROKEN) == 0
    assert tab.ask("document.images.length") > 100


def test_a_request_is_refused_by_the_page_itself(tab, file):
    tab.show(file)
    tab.ask("document.body.append(Object.assign(new Image(), {src: 'http://a.test/'}))")
    tab.ask("new Promise(resolve => setTimeout(resolve, 200))")
    assert any("Content Security Policy" in str(c) for c in tab.complaints)


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_nothing_but_tables_scrolls_sideways(tab, file, width):
    tab.show(file, width=width)
    assert tab.ask(SIDEWAYS) == 0
    # Letters of the charts, whose size follows the width.
    assert tab.ask(SMALLEST_LETTERS) > 9


@pytest.mark.parametrize("dark", [False, True])
def test_is_readable_in_the_light_and_in_the_dark(tab, file, dark):
    tab.show(file, dark=dark)
    ground, text, ticks, line = tab.ask(LUMINANCE)
    assert (ground < 0.05) == dark
    assert (ground > 0.8) != dark
    # WCAG 2.1: 7 for text at level AAA, 4.5 at AA, 3 for graphics.
    assert contrast(ground, text) > 7
    assert contrast(ground, ticks) > 4.5
    assert contrast(ground, line) > 3


def test_screenshots_show_something(tab, file, tmp_path):
    seen = {}
    for dark in (False, True):
        tab.show(file, width=390, dark=dark)
        tab.screenshot(tmp_path / "page.png")
        with Image.open(tmp_path / "page.png") as picture:
            seen[dark] = np.asarray(picture.convert("L"), dtype=float)
    assert seen[False].shape == seen[True].shape
    assert seen[False].shape[1] == 390
    assert seen[False].shape[0] > 5000  # the whole page, not its first screen
    for pixels in seen.values():
        # Every screenful has something on it.
        heights = np.array_split(pixels, len(pixels) // 800)
        assert min(part.std() for part in heights) > 5
    assert seen[False].mean() > 150 > 80 > seen[True].mean()
