"""The items that judge predictions on the test split: better_than_chance, calibrated, held_out, tuned."""

from __future__ import annotations

from typing import Any

import numpy as np

from verax.certify._certificate import Outcome
from verax.certify._subject import Subject
from verax.evaluate import Calibration, baseline, score
from verax.findings import Finding, Split

HEADLINE = {"classification": "accuracy", "binary": "accuracy", "regression": "rmse"}
CHANCE = 1e-3  # how rarely duplication within the seen rows may explain that of the test rows before it counts as excess


def better_than_chance(subject: Subject) -> Outcome:
    """The unfavourable end of the score's interval lies beyond the score of the majority class or the mean."""
    metric = HEADLINE.get(subject.task)
    if metric is None:
        return _not_run("better_than_chance", "a custom objective has no simplest predictor; state its task with objective_from_loss(task=...)")
    estimate = subject.evaluation.metrics[metric]
    train = subject.dataset.examples("train").targets
    simplest = baseline(subject.task, train, subject.test.targets)[metric].value
    passed = estimate.high < simplest if metric == "rmse" else estimate.low > simplest
    predictor = "the mean of the training targets" if metric == "rmse" else "the most frequent class"
    return Outcome(
        "better_than_chance",
        "passed" if passed else "failed",
        {metric: estimate.value, f"{metric}_low": estimate.low, f"{metric}_high": estimate.high, "examples": subject.test.size},
        {f"{metric}_of_simplest_predictor": simplest},
        reason=f"{metric} {estimate.value:.4f} [{estimate.low:.4f}, {estimate.high:.4f}] against {simplest:.4f} of {predictor}",
    )


def calibrated(subject: Subject) -> Outcome:
    """The upper end of the calibration error's interval is at most the limit, as deployed: after recalibration."""
    limit = subject.limits["calibration_error"]
    if subject.task == "custom":
        return _not_run("calibrated", "a custom objective states no probabilities; state its task with objective_from_loss(task=...)")
    if subject.task == "regression" and subject.calibration_outputs is None:
        return _not_run("calibrated", "a regressor's uncertainty is fitted on a calibration split: give the data one")
    before, after = subject.calibrations
    judged = before if after is None else after
    measured: dict[str, Any] = {"before": _calibration_numbers(before)}
    if after is not None:
        measured["after"] = _calibration_numbers(after)
    if subject.temperature is not None:
        measured["temperature"] = subject.temperature
    error = judged.ece if isinstance(judged, Calibration) else judged.error
    when = "before recalibration (there is no calibration split)" if after is None else "after recalibration"
    return Outcome(
        "calibrated",
        "passed" if judged.high <= limit else "failed",
        measured,
        {"calibration_error_high": limit},
        reason=f"calibration error {error:.4f}, upper end {judged.high:.4f}, {when}; {judged.expected:.4f} is expected by chance",
    )


def held_out(subject: Subject, openings: int) -> Outcome:
    """The test split holds no more copies of seen rows than the seen rows hold of one another, or they change nothing."""
    from scipy.stats import binomtest

    found = subject.overlap
    size = subject.test.size
    excess = {}
    for kind, flags, within in (("exact", found.exact, found.exact_within), ("near", found.near, found.near_within)):
        usual = binomtest(round(within * 2000), 2000).proportion_ci(0.95, method="wilson").high
        copies = int(flags.sum())
        by_chance = binomtest(copies, size, min(1.0, usual), alternative="greater").pvalue
        excess[kind] = copies if by_chance < CHANCE else 0
    measured: dict[str, Any] = {
        "exact_duplicates": int(found.exact.sum()),
        "near_duplicates": int(found.near.sum()),
        "exact_share_within_seen": found.exact_within,
        "near_share_within_seen": found.near_within,
        "test_examples": size,
        "test_openings": openings,
    }
    metric = HEADLINE.get(subject.task)
    clean = ~(found.near if excess["near"] else found.exact)
    changes = False
    if metric is not None and any(excess.values()):
        whole = subject.evaluation.metrics[metric]
        measured |= {metric: whole.value, f"{metric}_low": whole.low, f"{metric}_high": whole.high}
        if clean.sum() >= 2:
            without = score(subject.task, subject.predictions[clean], np.asarray(subject.test.targets)[clean]).metrics[metric].value
            measured[f"{metric}_without_duplicates"] = without
            changes = not whole.low <= without <= whole.high
        else:
            changes = True  # nothing is left to judge by
    findings = _duplicate_findings(excess, found.exact, size)
    failed = any(excess.values()) and (changes or metric is None)
    reason = f"{measured['exact_duplicates']} exact and {measured['near_duplicates']} near duplicates of seen rows among {size}"
    reason += ", no more than the data hold by nature" if not any(excess.values()) else ", and the score hangs on them" if failed else ", but the score does not hang on them"
    times = "once" if openings == 1 else f"{openings} times"
    return Outcome(
        "held_out",
        "failed" if failed else "passed",
        measured,
        {"p_value_of_excess": CHANCE},
        findings,
        f"{reason}; the test split was opened {times}",
    )


def tuned(subject: Subject) -> Outcome:
    """A study of more than one trial chose this setting by validation."""
    study = subject.evidence.study
    if study is None:
        return _not_run("tuned", "no study was given: pass study=vx.tune(experiment, space), or train through verax tune")
    trials, chosen = len(study.trials), dict(study.best.hyperparameters)
    own = dict(subject.evidence.hyperparameters)
    other = {name: value for name, value in chosen.items() if own.get(name, value) != value}
    by_validation = str(study.metric).startswith("validation/")
    problems = [
        text
        for wrong, text in (
            (trials < 2, "a study of one trial chose nothing"),
            (not by_validation, f"the study chose by {study.metric}, not by the validation split"),
            (bool(other), f"the study chose {chosen}, but this run has { {name: own[name] for name in other} }"),
        )
        if wrong
    ]
    setting = ", ".join(f"{name}={value}" for name, value in chosen.items())
    return Outcome(
        "tuned",
        "failed" if problems else "passed",
        {"trials": trials, "metric": study.metric, "best_value": study.best.value, "chosen": chosen},
        {"trials": 2},
        reason="; ".join(problems) or f"{setting} won among {trials} trials by {study.metric}",
    )


def _calibration_numbers(value: Any) -> dict[str, float]:
    if isinstance(value, Calibration):
        names = ("ece", "debiased", "low", "high", "expected", "p_value", "brier", "nll")
        return {name: getattr(value, name) for name in names}
    shares = {f"coverage_{round(100 * level)}": share.value for level, share in zip(value.levels, value.coverage, strict=True)}
    return {**{name: getattr(value, name) for name in ("error", "low", "high", "expected", "p_value")}, **shares, "pit_ks": value.pit.ks}


def _duplicate_findings(excess: dict[str, int], exact: np.ndarray, size: int) -> tuple[Finding, ...]:
    if not any(excess.values()):
        return ()
    kind = "exact" if excess["exact"] else "near"
    first = int(np.flatnonzero(exact)[0]) if exact.any() else None
    message = f"{excess[kind]} of {size} rows are {kind} duplicates of rows of other splits, more than duplication by nature explains."
    advice = "Take duplicates out before splitting; keep rows of one origin (a patient, a file) in one split."
    name = "train-test-overlap" if excess["exact"] else "near-duplicate-leak"
    return (Finding(name, "error", message, advice, Split("test", first)),)


def _not_run(name: str, reason: str) -> Outcome:
    return Outcome(name, "not_run", reason=reason)
