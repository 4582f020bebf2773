"""From symptoms to causes: what explains what, and in which order findings are said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from verax.doctor._trial import Trial
from verax.doctor.catalogue import page
from verax.findings import Finding

# Where two repairs help, the one further up is the cause: wrong data spoil every network, a wrong network every step.
DEPTH = ("data", "batches", "loss", "model", "schedule", "optimizer", None)
SEVERITIES = ("error", "warning", "info")
# How a run went: what anything that was found to be wrong before it may bring about.
OUTCOMES = frozenset({"overfitting", "overtraining", "miscalibration", "insufficient-training"})
AS_GOOD = 1.25  # times the error after the best repair: so near, the repairs are taken to do the same


def ranked(findings: Iterable[Finding], tried: Sequence[tuple[Finding, Trial]] = ()) -> tuple[Finding, ...]:
    """Returns what is said: causes first, what they explain as remarks, repairs that did not help left out.

    Args:
      findings: of all probes.
      tried: suspicions whose repair was seen to help, with what it did.
    """
    findings = list(dict.fromkeys(findings))
    proved = [each for each in findings if each.is_alarm and page(each.id).kind == "cause"]
    seen_before = [each for each in proved if each.id not in OUTCOMES]
    causes = _without_explained(seen_before) or _best(_told_apart(tried)) or _without_explained(proved)
    ids = {each.id for each in causes}
    explained = set().union(*(page(each.id).explains for each in causes)) if causes else set()
    rest = []
    for finding in [*findings, *(finding for finding, _ in tried)]:
        if finding.id in ids:
            continue
        ids.add(finding.id)
        is_symptom = page(finding.id).kind == "symptom"
        by = f"explained by {causes[0].id}" if finding.id in explained or (causes and is_symptom) else ""
        if by or (causes and finding.is_alarm and finding not in proved):
            finding = replace(finding, severity="info", evidence=(*finding.evidence, by) if by else finding.evidence)
        elif finding.is_alarm and finding in proved:
            finding = replace(finding, severity="info")
        rest.append(finding)
    return tuple(sorted([*causes, *rest], key=_order))


def _without_explained(causes: Sequence[Finding]) -> list[Finding]:
    """Returns the causes that no other explains, one of each id."""
    once = list({each.id: each for each in sorted(causes, key=_order, reverse=True)}.values())
    once.sort(key=_order)
    explained = {other for each in once for other in page(each.id).explains}
    if any(each.id not in OUTCOMES for each in once):
        explained |= OUTCOMES
    return [each for each in once if each.id not in explained] or once[:1]


def _told_apart(tried: Sequence[tuple[Finding, Trial]]) -> Sequence[tuple[Finding, Trial]]:
    """Returns the suspicions without a low learning rate where the run is too short: that is suspected only of steps of
    ordinary size, which larger ones may make up for."""
    short = any(finding.id == "insufficient-training" for finding, _ in tried)
    return [each for each in tried if not (short and each[0].id == "learning-rate-too-low")]


def _best(tried: Sequence[tuple[Finding, Trial]]) -> list[Finding]:
    """Returns the one suspicion whose repair did most; of those that did as much, the one that lies deepest.

    One that is certain (and only not known to be meant) comes before those that are guesses until a repair helps.
    """
    if not tried:
        return []
    sure = [each for each in tried if each[0].confidence == 1.0]
    least = min(trial.after for _, trial in sure or tried)
    good = [(finding, trial) for finding, trial in sure or tried if trial.after <= AS_GOOD * least + 0.01]
    finding, trial = min(good, key=lambda each: (DEPTH.index(each[0].part), each[1].after))
    return [replace(finding, tried=trial.said)]


def _order(finding: Finding) -> tuple[int, bool, float, int]:
    is_symptom = page(finding.id).kind == "symptom"
    return (
        SEVERITIES.index(finding.severity),
        is_symptom,
        -(finding.confidence or 0.5),
        DEPTH.index(finding.part),
    )
