"""What a page says, that it says it for each verdict, and that nothing from a user gets out of its text."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from verax import plot, report
from verax.certify import ITEMS, Certificate, Outcome
from verax.debug import DeadUnits, LayerUnits
from verax.evaluate import Estimate, score
from verax.findings import Finding, Leaf, Moment, Split
from verax.report._status import NAMES, NEXT
from verax.train import History, Record

VOID = {"br", "img", "link", "meta"}
EVIL = '<script>alert(\'x\')</script>" onload="x" </style><!-- \x00'


class Page(HTMLParser):
    """A page as a list of elements, with the text below each; fails where elements are not closed in order."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.open: list[dict] = []
        self.elements: list[dict] = []
        self.feed(text)
        assert not self.open, f"never closed: {[each['tag'] for each in self.open]}"

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "text": "", **dict(attrs)}
        assert len(attrs) == len(dict(attrs)), f"an attribute of {tag} stands twice"
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append({"tag": tag, "text": "", **dict(attrs)})

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag, f"{tag} is closed out of order"

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, **wanted):
        wanted = {name.rstrip("_"): value for name, value in wanted.items()}
        return [each for each in self.elements if each["tag"] == tag and wanted.items() <= each.items()]

    def text_of(self, tag, **wanted):
        return self.all(tag, **wanted)[0]["text"]


KINDS = ["passed", "failed", "regressor"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_small_whole_and_loads_nothing(pages, kind):
    text = pages[kind]
    assert len(text.encode()) < 2_000_000
    page = Page(text)
    ids = [each["id"] for each in page.elements if "id" in each]
    assert len(ids) == len(set(ids))
    for element in page.elements:
        for attribute in ("src", "href", "xlink:href"):
            target = element.get(attribute, "data:")
            assert target.startswith("data:") or (target.startswith("#") and target[1:] in ids), target
        for attribute in ("aria-labelledby",):
            assert element.get(attribute, ids[0]) in ids
    assert not page.all("script") and "@import" not in text and "url(h" not in text
    assert page.all("html", lang="en") and page.all("meta", charset="utf-8")
    assert "default-src 'none'" in page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_can_be_read_without_seeing_it(pages, kind):
    page = Page(pages[kind])
    assert all(each.get("alt") for each in page.all("img"))
    assert all(each.get("aria-label") or each.get("aria-hidden") == "true" for each in page.all("svg"))
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("header")) == 1
    levels = [int(each["tag"][1]) for each in page.elements if each["tag"] in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))
    assert all(each.get("scope") in ("row", "col") for each in page.all("th"))


def test_the_same_arguments_give_the_same_page(passed, digits):
    assert report.html(passed, **vars(digits)) == report.html(passed, **vars(digits))


def test_a_passed_page_begins_with_its_verdict(pages):
    page = Page(pages["passed"])
    banner = page.text_of("div", class_="banner passed")
    assert banner == "Passed10 of 10 items passed."
    assert page.all("title")[0]["text"] == "Digits MLP: passed"
    assert not page.all("h2", id="to-do")


def test_a_failed_page_begins_with_what_to_do(pages):
    page = Page(pages["failed"])
    assert page.text_of("div", class_="banner failed") == "Failed6 of 10 items passed, 2 failed, 1 not run, 1 waived."
    steps = page.text_of("ol", class_="steps")
    order = [steps.index(words) for words in ("Failed Gradients", "Failed Finite", "Not run Tuned")]
    assert order == sorted(order)
    assert "Look at the custom derivative" in steps  # the finding's own advice
    assert NEXT["finite"] in steps  # where a finding has none
    assert "pass study=vx.tune" in steps
    positions = [pages["failed"].index(text) for text in ('class="banner', 'id="to-do"', 'id="items"', 'id="scores"')]
    assert positions == sorted(positions)


@pytest.mark.parametrize("name", ITEMS)
def test_each_item_has_status_numbers_limit_reason_and_rerun(pages, failed, name):
    page, item = Page(pages["failed"]), failed.item(name)
    card = page.all("li", id=f"item-{name}")[0]
    words = {"passed": "Passed", "failed": "Failed", "waived": "Waived", "not_run": "Not run"}
    assert card["class"] == f"card item {item.status}"
    assert card["text"].startswith(f"{NAMES[name]} {words[item.status]}") or card["text"].startswith(
        f"{NAMES[name]} {words[item.status]}".replace(" ", "", 1)
    )
    assert item.reason[1:] in card["text"]
    assert item.rerun in card["text"]
    assert all(finding.message in card["text"] and finding.advice in card["text"] for finding in item.findings)
    assert ("limit" in card["text"]) == bool(item.limit)


def test_numbers_stand_beside_their_limits(pages):
    text = Page(pages["failed"]).text_of("li", id="item-gradients").replace("\N{NO-BREAK SPACE}", " ")
    assert "largest relative error0.5at most 1e−5" in text
    text = Page(pages["passed"]).text_of("li", id="item-memory").replace("\N{NO-BREAK SPACE}", " ")
    assert "peak in training612 MBat most 16 GB" in text and "peak in inference301 MBat most 2.15 GB" in text
    text = Page(pages["passed"]).text_of("li", id="item-inference_time").replace("\N{NO-BREAK SPACE}", " ")
    assert "99 of 100 calls within190 µsat most 100 ms" in text


def test_waived_and_not_run_are_told_apart(pages):
    page = Page(pages["failed"])
    waived, not_run = (page.text_of("li", id=f"item-{name}") for name in ("inference_time", "tuned"))
    assert "Waived because: The batch job runs at night" in waived and "Not run" not in waived
    assert "Not run because: No study was given" in not_run and "Waived" not in not_run


def test_a_limit_that_nothing_was_measured_for_is_shown():
    items = tuple(
        Outcome(name, "failed", {}, {"own_limit": 3}, reason="x") if name == "tuned" else Outcome(name, "passed")
        for name in ITEMS
    )
    assert "own limit–at most 3" in Page(report.html(Certificate("n", items))).text_of("li", id="item-tuned")


def test_numbers_that_are_not_finite_are_shown():
    items = tuple(Outcome(name, "failed", {"loss": float("nan"), "best": float("inf")}) for name in ITEMS)
    test = {"loss": Estimate(float("nan"), float("-inf"), float("inf"))}
    text = Page(report.html(Certificate("n", items, test))).text_of("main")
    assert "NaN" in text and "−∞ to ∞" in text


def evil_certificate() -> tuple[Certificate, dict]:
    """A certificate and all that goes with it in which every text is hostile."""
    finding = Finding(EVIL, "error", EVIL, EVIL, Split(EVIL, 3, EVIL), "data", (EVIL,), 0.5, EVIL)
    items = tuple(Outcome(name, "failed", {EVIL: EVIL}, {EVIL: [EVIL]}, (finding,), EVIL, EVIL) for name in ITEMS)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), size=60)
    labels = np.arange(60) % 3
    names = (EVIL, "b" * 300, "$x$")
    evaluation = score("classification", probabilities, labels, classes=names)
    mistakes = plot.find_mistakes(np.zeros((60, 4, 4)), labels, probabilities.argmax(1), probabilities, names)
    certificate = Certificate(EVIL, items, {EVIL: Estimate(1.0, 0.5, 2.0)}, {EVIL: EVIL}, {EVIL: {EVIL: EVIL}})
    return certificate, {
        "evaluation": evaluation, "mistakes": mistakes, "run_facts": {EVIL: EVIL}, "findings": (finding,),
        "title": EVIL,
    }  # fmt: skip


def test_no_text_of_a_user_becomes_markup():
    certificate, more = evil_certificate()
    text = report.html(certificate, **more)
    page = Page(text)
    assert not page.all("script") and "<script" not in text and "\x00" not in text
    assert not [each for each in page.elements if "onload" in each]
    assert len(page.all("style")) == 1
    assert page.text_of("main").count("alert('x')") > 50  # it is all there, as text


def test_a_page_without_anything_more_than_a_certificate():
    page = Page(report.html(Certificate("bare", tuple(Outcome(name, "passed") for name in ITEMS))))
    assert page.text_of("h1") == "bare" and not page.all("figure")


def test_a_page_shows_what_was_passed(pages):
    page = Page(pages["passed"])
    captions = [each["text"] for each in page.all("figcaption")]
    assert [caption.partition("in training")[0] for caption in captions[2:]] == ["Loss ", "Accuracy "]
    assert captions[0].startswith("Confusion matrix547 of 597 are right.") and captions[1].startswith(
        "Reliability diagram"
    )
    assert len(page.all("img")) == 12
    assert "10 of 64 features never change. Do: Leave them out." in page.text_of("ul", class_="findings").replace(
        "D", " D", 1
    )
    for text in ("25,450", "3.42 s", "612 MB", "0.10.2", "5f1c5f1c"):
        assert text in page.text_of("main")
    captions = [each["text"] for each in Page(pages["regressor"]).all("figcaption")]
    names = ("Predicted against true", "Residuals", "Coverage of predicted intervals", "Loss", "RMSE")
    assert all(caption.startswith(name) for caption, name in zip(captions, names, strict=True))


def test_everything_is_taken_from_the_certificate_where_it_holds_it(digits, passed):
    probabilities = np.eye(10)[np.arange(20) % 10] * 0.9 + 0.01
    details = SimpleNamespace(
        evaluation=digits.evaluation, predictions=probabilities, targets=np.arange(20)[::-1] % 10,
        inputs=np.zeros((20, 8, 8, 1), np.uint8), dataset=SimpleNamespace(schema=SimpleNamespace(kind="image")),
        history=digits.history, calibration_before=digits.evaluation.calibration,
        calibration_after=digits.calibration_after,
    )  # fmt: skip
    whole = replace(passed, details=details)
    page = Page(report.html(whole))
    assert len(page.all("figcaption")) == 4 and len(page.all("img")) == 12
    drawn = {"curve-loss", "curve-accuracy", "confusion", "reliability", "mistakes"}
    assert set(report.figures(whole)) == drawn
    details.dataset.schema.kind = "table"
    assert set(report.figures(whole)) == drawn - {"mistakes"}
    assert report.figures(passed) == {}


def test_the_figures_can_be_saved(tmp_path, passed, digits):
    paths = plot.save_figures(report.figures(passed, history=digits.history, mistakes=digits.mistakes), tmp_path)
    assert [path.name for path in paths] == ["curve-loss.png", "curve-accuracy.png", "mistakes.png"]


def test_a_finding_is_shown_with_its_evidence_and_what_was_tried():
    evidence = ("row sums are 1", "a loss of 1.46")
    told = Finding(
        "double-softmax", "error", "two of them.", "Return logits.", None, "model", evidence, 1.0, "it helps"
    )
    bare = Finding("my-own", "error", "something.")
    items = tuple(Outcome(name, "failed", findings=(told, bare)) for name in ITEMS)
    page = Page(report.html(Certificate("told", items)))
    text = page.text_of("li", id="item-gradients")
    assert "error double-softmax (model, proved)" in text and "row sums are 1a loss of 1.46" in text
    assert "Tried: it helps" in text and "More: verax explain double-softmax" in text
    assert "error my-ownsomething." in text
    assert "explain my-own" not in text and text.count("Tried: ") == 1 and len(page.all("ul", class_="evidence")) == 10


def test_long_lists_are_cut_and_said_to_be():
    findings = tuple(Finding("x", "warning", f"number {index}.", where=Leaf("p")) for index in range(500))
    measured = {f"value_{index}": index for index in range(500)}
    items = tuple(Outcome(name, "failed", measured, {}, findings) for name in ITEMS)
    text = report.html(Certificate("long", items), findings=findings)
    assert "… and 480 more." in text and "460 more are in certificate.json." in text
    assert len(text) < 500_000


def test_a_page_needs_no_more_than_what_json_holds(passed):
    """A certificate read from a file draws the same text, if not the same pictures."""
    content = json.loads(json.dumps(passed.to_json()))
    items = tuple(
        Outcome(each["id"], each["status"], each["measured"], each["limit"], (), each["reason"], each["rerun"])
        for each in content["items"]
    )
    test = {name: Estimate(**estimate) for name, estimate in content["test"].items()}
    again = Certificate(content["name"], items, test, content["fingerprints"], content["environment"])
    assert report.html(again) == report.html(passed)


def test_what_a_history_holds_besides_curves_is_left_out():
    values = {"train/loss": (1.0, 0.5), "validation/odd": 1.0, "examples_per_second": 3.0}
    records = (Record("event", 0, 0, {"validation/stopped": 1.0}, 0.0), Record("chunk", 2, 1, values, 0.1))
    bare = Certificate("n", tuple(Outcome(name, "passed") for name in ITEMS))
    assert list(report.figures(bare, history=History(records))) == ["curve-loss"]
    assert report.figures(bare, history=History()) == {}


def test_what_every_parameter_did_is_on_the_page():
    rows = [(norm, 0.1, 0.2, 0.25, 0, 0, 0.001, 0.02) for norm in (2.0, 0.5)]
    paths = [f"{EVIL}/kernel", *(f"blocks_{place}/kernel" for place in range(300))]
    records = [Record("chunk", 100 * n, 1, {"leaves": dict.fromkeys(paths, rows[n % 2])}, 0.1) for n in range(1, 1001)]
    bare = Certificate("n", tuple(Outcome(name, "passed") for name in ITEMS))
    text = report.html(bare, history=History(tuple(records)))
    page = Page(text)
    section = next(each for each in page.all("section") if each.get("aria-labelledby") == "health")["text"]
    assert "Gradient norm by parameter" in section and "Update to weight" in section
    assert "At step 100,000; 101 more parameters are in history.jsonl" in section
    assert "25.0\N{NO-BREAK SPACE}%" in section
    assert len(text.encode()) < 600_000 and not page.all("script")
    once = report.html(bare, history=History(tuple(records[:1])))
    assert not [each for each in Page(once).all("section") if each.get("aria-labelledby") == "health"]


BARE = Certificate("n", tuple(Outcome(name, "passed") for name in ITEMS))
FALLING = History((Record("chunk", 200, 1, {"train/loss": tuple(np.linspace(2.0, 0.1, 200).tolist())}, 1.0),))


def health_section(text: str) -> str | None:
    found = [each["text"] for each in Page(text).all("section") if each.get("aria-labelledby") == "health"]
    return found[0] if found else None


def test_the_moments_of_findings_are_marked_in_the_loss_and_told_below():
    found = (
        Finding("overfitting", "warning", f"it rose {EVIL}.", where=Moment(120, 3)),
        Finding(EVIL, "error", "broken.", where=Leaf("p"), step=40),
        Finding("overfitting", "warning", "told twice.", where=Moment(120)),
        Finding("double-softmax", "error", "it has no moment."),
    )
    text = report.html(BARE, history=FALLING, findings=found)
    page, section = Page(text), health_section(text) or ""
    told = page.all("ol", class_="marks")[0]["text"]
    assert told.startswith("Step 40, error ") and told.count("Step ") == 2
    assert "Step 120, warning overfitting: it rose" in told and "told twice" not in told and "no moment" not in told
    picture = next(each for each in page.all("svg") if "what was found when" in each.get("aria-label", ""))
    assert "1 at step 40: " in picture["aria-label"] and "2 at step 120: overfitting." in picture["aria-label"]
    assert "2  step 120: overfitting" in " ".join(each["text"] for each in page.all("text")).replace("\xa0", " ")
    assert not page.all("script") and "<script" not in text and "Dead units: not measured." in section
    assert "moments" in report.figures(BARE, history=FALLING, findings=found)


def test_a_run_that_diverges_at_a_known_step_is_marked_there_and_a_healthy_one_is_not():
    random = np.random.default_rng(0)
    noisy = np.exp(-np.arange(300) / 60) + 0.3 * random.random(300)
    left = np.where(np.arange(300) < 200, noisy, 80 + random.random(300))
    broken, healthy = (History((Record("chunk", 300, 1, {"train/loss": tuple(loss)}, 1.0),)) for loss in (left, noisy))
    section = health_section(report.html(BARE, history=broken)) or ""
    assert "Step 201, warning loss-divergence" in section
    assert health_section(report.html(BARE, history=healthy)) is None  # nothing was found, and nothing watched


def test_dead_units_are_drawn_with_what_is_counted():
    layers = (LayerUnits(f"{EVIL}/a", "relu", 32, (0, 8)), LayerUnits("b", "tanh", 8, (0, None)))
    units = DeadUnits(256, ("start", "last"), (0, 900), layers)
    text = report.html(replace(BARE, units=units))
    page, section = Page(text), health_section(text) or ""
    assert "Dead of 40 hidden units: start 0, last 8 of the 32 whose outputs are finite." in section
    assert "below 0.001 on each of 256 rows of the training split" in section and "start (step 0)" in section
    drawn = {each["text"] for each in page.all("text")}
    assert {"25 %", "0 %", "–"} <= drawn and not page.all("script")
    assert set(report.figures(replace(BARE, units=units))) == {"dead-units"}


@pytest.mark.parametrize(
    ("units", "said"),
    [
        (None, "Dead units: not measured."),
        ("TypeError: <b>", "Dead units: not measured: TypeError: <b>."),
        (DeadUnits(256, ("last",), (9,), ()), "there is no hidden layer with an activation"),
    ],
)
def test_a_run_without_dead_units_measured_says_so(units, said):
    found = (Finding("non-finite-loss", "error", "NaN.", where=Moment(150)),)
    text = report.html(replace(BARE, units=units), history=FALLING, findings=found)
    assert said in (health_section(text) or "") and "Dead units by layer" not in text
