"""The page in a real browser: silent, self-contained, not wider than the window, readable in light, dark, print."""

import os
import shutil
from pathlib import Path

import pytest

from tests.report.chromium import Chromium

pytestmark = pytest.mark.browser

KINDS = ["passed", "failed", "regressor", "study"]

# Contrast of every visible text with what is behind it (WCAG 2.1, 1.4.3), by mixing the backgrounds up to the first
# opaque one. Colours are read back from a canvas, so that any notation is understood. Text inside pictures is left
# out: its background is the same card, or a cell whose opacity is bounded.
CONTRAST = """
(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const rgba = color => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const light = c => [0, 1, 2].map(i => c[i] / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const weak = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest('svg') || !element.checkVisibility()) continue;
    const back = behind(element), text = over(rgba(getComputedStyle(element).color), back);
    const [a, b] = [light(text), light(back)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
    seen += 1;
    if (ratio < 4.5) weak.push(ratio.toFixed(2) + ' ' + walker.currentNode.data.slice(0, 40));
  }
  return {seen, weak};
})()
"""

# Everything that reaches beyond the window, apart from what scrolls in a box of its own. `innerWidth` would not do:
# where a page is too wide, a phone zooms out and it grows too.
TOO_WIDE = """
(width => [document.documentElement.scrollWidth > width ? 'page ' + document.documentElement.scrollWidth : ''].concat(
  [...document.body.querySelectorAll('*')]
    .filter(e => !e.closest('.scroll, svg, .visually-hidden') && e.getBoundingClientRect().right > width + 0.5)
    .map(e => e.tagName + '.' + e.className)).filter(Boolean))
"""

SMALLEST_TEXT = """
Math.min(...[...document.querySelectorAll('svg.plot text')].map(text =>
  parseFloat(getComputedStyle(text).fontSize) * text.ownerSVGElement.getScreenCTM().a))
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if shutil.which("chromium") is None:
        pytest.skip("needs Chromium: the program `chromium` is not on PATH.")
    browser = Chromium(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def files(pages, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in pages}


@pytest.fixture(scope="module")
def shots(tmp_path_factory) -> Path:
    """Where pictures of the pages go, to be looked at: `VERAX_SCREENSHOTS`, or a folder that pytest keeps."""
    folder = Path(os.environ.get("VERAX_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390, 320])
@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_silent_fits_and_can_be_read(browser, files, shots, kind, width, dark):
    browser.open(files[kind], width=width, dark=dark)
    assert browser.complaints() == []
    assert browser.requests() == [files[kind].as_uri()]
    assert browser.value(f"{TOO_WIDE}({width})") == []
    contrast = browser.value(CONTRAST)
    assert contrast["seen"] > 100 and contrast["weak"] == []
    assert browser.value(SMALLEST_TEXT) >= 7.5
    background = browser.value("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(15, 19, 23)") == dark
    path = shots / f"{kind}-{width}-{'dark' if dark else 'light'}.png"
    browser.screenshot(path)
    assert path.stat().st_size > 50_000


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_paper_is_white_whatever_the_screen(browser, files, shots, kind, dark):
    browser.open(files[kind], width=720, dark=dark, media="print")
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.value(CONTRAST)["weak"] == []
    assert browser.value(f"{TOO_WIDE}(720)") == []
    browser.screenshot(shots / f"{kind}-print.png")
    paper = browser.pdf()
    (shots / f"{kind}.pdf").write_bytes(paper)
    assert paper.startswith(b"%PDF") and 2 <= paper.count(b"/Type /Page\n") <= 12


def test_links_lead_to_the_items_and_details_unfold_without_scripts(browser, files):
    browser.open(files["failed"], width=390)
    browser.value("document.querySelector('.steps a').click()")
    assert browser.value("location.hash") == "#item-gradients"
    assert browser.value("document.querySelector(':target h3').textContent") == "Gradients"
    closed = browser.value("document.documentElement.scrollHeight")
    browser.value("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert browser.value("document.documentElement.scrollHeight") > closed + 500
    assert browser.value(f"{TOO_WIDE}(390)") == []


FAULTS = {
    "console": ("<p>x</p><script>console.error('broken')</script>", lambda b: b.complaints()),
    "exception": ("<p>x</p><script>throw Error('broken')</script>", lambda b: b.complaints()),
    "request": ("<img src='http://127.0.0.1:9/x.png' alt='x'>", lambda b: b.requests()[1:]),
    "file": ("<link rel='stylesheet' href='other.css'>", lambda b: b.requests()[1:]),
    "width": ("<p style='width: 500px'>x</p>", lambda b: b.value(f"{TOO_WIDE}(390)")),
    "contrast": ("<p style='background: #777; color: #999'>x</p>", lambda b: b.value(CONTRAST)["weak"]),
    "small": ("<svg class='plot' viewBox='0 0 900 10' width='90'><text font-size='10'>x</text></svg>",
              lambda b: b.value(SMALLEST_TEXT) < 7.5),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(browser, tmp_path, fault):
    content, found = FAULTS[fault]
    page = tmp_path / "page.html"
    page.write_text(f"<!DOCTYPE html><meta name=viewport content='width=device-width'><title>x</title>{content}")
    browser.open(page, width=390)
    assert found(browser)


def test_the_policy_of_a_page_forbids_scripts_and_requests(browser, pages, tmp_path):
    page = tmp_path / "page.html"
    attack = "<script>document.title = 'taken'</script><img src='http://127.0.0.1:9/x.png' alt='x'>"
    page.write_text(pages["passed"].replace("</main>", f"</main>{attack}"), encoding="utf-8")
    browser.open(page, width=390)
    assert browser.value("document.title") == "Digits MLP: passed"
    assert len(browser.complaints()) >= 2  # both were refused, and said so
