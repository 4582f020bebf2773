"""The ten items: status, numbers against limits, reason, findings, and how to measure each again."""

from __future__ import annotations

import re
from collections.abc import Iterable

from verax.certify import ITEMS, Certificate, Outcome
from verax.doctor._show import about_text, page_text
from verax.findings import Finding
from verax.report._elements import Content, Markup, tag
from verax.report._quantities import rows, sentence_case
from verax.report._scores import folded, table
from verax.report._status import NAMES, badge

FINDINGS, NUMBERS = 20, 40  # shown of each item; certificate.json has all
EVIDENCE = 6  # lines of each finding; likewise

DECIDED_BY = {  # what a limit of another name is held against: in words, and the first measured number that matches
    "relative_error": ("largest relative error", r"largest_relative_error"),
    "accuracy_of_simplest_predictor": ("accuracy, lower end", r"accuracy_low"),
    "rmse_of_simplest_predictor": ("RMSE, upper end", r"rmse_high"),
    "calibration_error_high": ("calibration error, upper end", r"after\.high|before\.high"),
    "p_value_of_excess": ("p-value of excess duplicates", r"p_value_of_excess"),
    "latency_p99_seconds": ("99 of 100 calls within", r"batch_\d+\.p99_seconds"),
    "training_peak_bytes": ("peak in training", r"training_process_bytes|training_program_bytes"),
    "inference_peak_bytes": ("peak in inference", r"inference_process_bytes"),
}
AT_LEAST = {"trials", "accuracy", "r2", "accuracy_of_simplest_predictor", "p_value_of_excess"}


def items(certificate: Certificate) -> Markup:
    """Returns the section of the ten items, in their order."""
    return tag(
        "section",
        tag("h2", "The ten items", id="items"),
        tag("ol", [_item(item) for item in certificate.items], class_="items"),
        aria_labelledby="items",
    )


def findings_list(findings: Iterable[Finding]) -> Content:
    """Returns findings as a list: how bad, where, what, the evidence, what was tried, and what to do."""
    findings = list(findings)
    if not findings:
        return None
    more = len(findings) - FINDINGS
    shown = [_finding(finding) for finding in findings[:FINDINGS]]
    return tag("ul", shown, tag("li", f"… and {more} more.") if more > 0 else None, class_="findings")


def _item(item: Outcome) -> Markup:
    return tag(
        "li",
        tag("div", tag("h3", NAMES[item.id]), badge(item.status), class_="item-head"),
        tag("p", sentence_case(ITEMS[item.id]), class_="title"),
        tag(
            "div",
            tag(
                "div",
                tag("p", tag("strong", _reason_word(item.status)), sentence_case(item.reason)) if item.reason else None,
                findings_list(item.findings),
                tag("p", "Measure it again: ", tag("code", item.rerun), class_="rerun") if item.rerun else None,
                class_="told",
            ),
            tag("div", _numbers(item), class_="measured") if item.measured or item.limit else None,
            class_="item-body",
        ),
        id=f"item-{item.id}",
        class_=f"card item {item.status}",
    )


def _reason_word(status: str) -> str | None:
    return {"waived": "Waived because: ", "not_run": "Not run because: "}.get(status)


def _numbers(item: Outcome) -> Content:
    """Returns the numbers that decided beside their limits, and all others to be unfolded."""
    measured = {key: (name, text) for key, name, text in rows(item.measured)}
    decided, lines = set(), []
    for key, name, text in rows(item.limit):
        words, pattern = DECIDED_BY.get(key, (name, None))
        by = key if key in measured else _first(pattern, measured)
        decided.add(by)
        value = measured[by][1] if by else "–"
        lines.append((words, value, f"{'at least' if key in AT_LEAST else 'at most'} {text}"))
    others = [pair for key, pair in measured.items() if key not in decided]
    more = len(others) - NUMBERS
    return [
        table(("", "measured", "limit"), lines) if lines else None,
        folded("More numbers", pairs(others[:NUMBERS]), f"{more} more are in certificate.json." if more > 0 else None)
        if others
        else None,
    ]


def _first(pattern: str | None, keys: Iterable[str]) -> str | None:
    """Returns the key that a pattern matches, an earlier alternative before a later one."""
    alternatives = pattern.split("|") if pattern else []
    return next((key for each in alternatives for key in keys if re.fullmatch(each, key)), None)


def pairs(named: Iterable[tuple[str, str]], code: bool = False) -> Markup:
    """Returns names and values as a list that fills the width."""
    each = [tag("div", tag("dt", name), tag("dd", tag("code", text) if code else text)) for name, text in named]
    return tag("dl", each, class_="facts fingerprints" if code else "facts")


def _finding(finding: Finding) -> Markup:
    about, page = about_text(finding), page_text(finding)
    head = (tag("strong", finding.severity), " ", tag("code", finding.id), f" ({about})" if about else None)
    evidence = tag("ul", [tag("li", line) for line in finding.evidence[:EVIDENCE]], class_="evidence")
    return tag(
        "li",
        tag("p", head, _place(finding), class_="finding-head"),
        tag("p", finding.message),
        evidence if finding.evidence else None,
        tag("p", tag("strong", "Tried: "), finding.tried, class_="advice") if finding.tried else None,
        tag("p", tag("strong", "Do: "), finding.advice, class_="advice") if finding.advice else None,
        tag("p", "More: ", tag("code", page), class_="finding-head") if page and finding.is_alarm else None,
        class_=f"finding {finding.severity}",
    )


def _place(finding: Finding) -> Content:
    return [" at ", tag("code", finding.place)] if finding.place else None
