import re
from xml.etree import ElementTree

import numpy as np

from verax import plot


def drawn(name: str = "one") -> str:
    return plot.svg(
        plot.confusion_matrix(np.array([[3, 1], [0, 2]]), ["<script>", "id='x' #1c2733"]), 'a "title" <b>', name=name
    )


def test_the_same_picture_gives_the_same_text():
    assert drawn() == drawn()


def test_nothing_in_it_reaches_beyond_it():
    text = drawn()
    assert not re.search(r"<style|<metadata|<script|<!DOCTYPE|<\?xml", text)
    assert set(re.findall(r"https?://[^\"]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\d{4}-\d{2}-\d{2}", text)


def test_ids_are_its_own_and_every_reference_is_met():
    first, second = drawn("one"), drawn("two")
    ids = [re.findall(r'\bid="([^"]+)"', text) for text in (first, second)]
    assert ids[0] and not set(ids[0]) & set(ids[1])
    assert len(ids[0]) == len(set(ids[0]))
    references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', first)
    assert {one or other for one, other in references} == set(ids[0])


def test_colours_are_those_of_the_page():
    text = plot.svg(plot.reliability_diagram(calibrated()), "title", name="x")
    assert "currentColor" in text and "var(--plot-blue, #0072b2)" in text and "var(--plot-grid, #d9dee3)" in text
    outside = re.sub(r"var\(--plot-\w+, #\w+\)", "", text)
    assert not re.search(r"#[0-9a-f]{6}", outside)


def test_text_stays_text_and_is_escaped():
    root = ElementTree.fromstring(drawn())
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"<script>", "id='x' #1c2…", "3", "predicted"} <= set(texts)
    assert root.get("aria-label") == 'a "title" <b>' and root.get("role") == "img"
    assert "DejaVu" not in drawn()


def calibrated():
    from verax.evaluate import calibration

    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), size=200)
    return calibration(probabilities, probabilities.argmax(axis=1), resamples=10)
