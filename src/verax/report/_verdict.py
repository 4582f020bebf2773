"""The top of a page: the verdict, the scores, the ten items at a glance, and what to do first."""

from __future__ import annotations

from collections.abc import Mapping

from verax.certify import Certificate, Outcome
from verax.evaluate import Estimate
from verax.report._elements import Content, Markup, tag
from verax.report._quantities import label, quantity, sentence_case
from verax.report._status import NAMES, WORDS, advice, badge, icon, sentence

HEADLINES = ("accuracy", "rmse", "r2", "macro_f1", "roc_auc", "loss")
TILES = 3


def verdict(certificate: Certificate, title: str) -> Markup:
    """Returns the page's header: what was certified, whether it passed, and how good it is."""
    status = certificate.verdict
    banner = tag(
        "div",
        icon(status),
        tag("div", tag("p", WORDS[status], class_="word"), tag("p", sentence(certificate), class_="counts")),
        class_=f"banner {status}",
    )
    return tag(
        "header",
        tag("p", "Verax certificate", class_="brand"),
        tag("h1", title),
        banner,
        _tiles(certificate.test),
        _overview(certificate),
    )


def to_do(certificate: Certificate) -> Markup:
    """Returns what stands between this certificate and a passed one: failed items, then those that were not run."""
    open_items = [item for status in ("failed", "not_run") for item in certificate.items if item.status == status]
    if not open_items:
        return Markup()
    return tag(
        "section",
        tag("h2", "What to do", id="to-do"),
        tag("ol", [_step(item) for item in open_items], class_="steps"),
        class_="card to-do",
        aria_labelledby="to-do",
    )


def _step(item: Outcome) -> Markup:
    todo = advice(item)
    return tag(
        "li",
        tag("p", badge(item.status), " ", tag("a", NAMES[item.id], href=f"#item-{item.id}"), class_="step-title"),
        tag("p", sentence_case(item.reason)) if item.reason else None,
        tag("p", tag("strong", "Do: "), todo, class_="advice") if todo else None,
    )


def _tiles(test: Mapping[str, Estimate]) -> Content:
    names = [name for name in HEADLINES if name in test] or list(test)
    if not names:
        return None
    tiles = [
        tag(
            "div",
            tag("dt", sentence_case(f"{label(name)} on test")),
            tag("dd", quantity(name, test[name].value), class_="value"),
            tag("dd", f"95 % interval {quantity(name, test[name].low)} to {quantity(name, test[name].high)}"),
            class_="tile",
        )
        for name in names[:TILES]
    ]
    return tag("dl", tiles, class_="tiles")


def _overview(certificate: Certificate) -> Markup:
    links = [
        tag(
            "li",
            tag("a", icon(item.status), tag("span", NAMES[item.id], _spoken(item.status)), href=f"#item-{item.id}"),
        )
        for item in certificate.items
    ]
    return tag("nav", tag("ul", links, class_="overview"), aria_label="The ten items")


def _spoken(status: str) -> Markup:
    """Returns the status of a link as text: written out unless the item passed, which the shape says to the eye."""
    hidden = "visually-hidden" if status == "passed" else "status-word"
    return tag("span", f" {WORDS[status].lower()}", class_=hidden)
