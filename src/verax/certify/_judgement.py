"""The items that judge predictions on the test split: better_than_chance, calibrated, held_out, tuned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool

from verax.certify._certificate import Outcome, plain
from verax.certify._overlap import Overlap
from verax.certify._subject import Subject
from verax.evaluate import Calibration, Estimate, PredictiveCalibration
from verax.findings import Finding, Split

VALIDATION = ("validation/", "ema_validation/")  # of the weights trained last, and of their average
CHANCE = 1e-3  # more copies than this probability allows are an excess


def better_than_chance(subject: Subject) -> Outcome:
    """The unfavourable end of the score's interval lies beyond the score of the best predictor without inputs."""
    task = subject.task
    constant = task.baseline(subject.dataset.examples("train"), subject.test)
    if not constant:
        reason = "a custom objective has no simplest predictor; state its task with objective_from_loss(task=...)"
        return _not_run("better_than_chance", reason)
    metrics = subject.evaluation.metrics
    metric = task.headline
    if metric not in metrics or metric not in constant:
        return _not_run("better_than_chance", f"the test split does not tell {metric.replace('_', ' ')}")
    estimate, simplest = metrics[metric], constant[metric].value
    passed = estimate.low > simplest if task.higher_is_better else estimate.high < simplest
    return Outcome(
        "better_than_chance",
        "passed" if passed else "failed",
        {**_interval(metric, estimate), "examples": subject.test.size},
        {f"{metric}_of_simplest_predictor": simplest},
        reason=f"{metric} {estimate} against {simplest:.4f} of {task.simplest}",
    )


def calibrated(subject: Subject) -> Outcome:
    """The upper end of the calibration error's interval is at most the limit, as deployed: after recalibration.

    Of several labels that is the error of all decisions together; besides, chance must not rule out the limit for any
    label alone.
    """
    limit, stated = subject.limits["calibration_error"], subject.confidence
    if isinstance(stated, str):
        return _not_run("calibrated", stated)
    judged = stated.deployed
    measured: dict[str, Any] = {"before": _calibration_numbers(stated.before)}
    if stated.after is not None:
        measured["after"] = _calibration_numbers(stated.after)
    if stated.temperature is not None:
        measured["temperature"] = stated.temperature
    if stated.parts:
        measured["labels"] = {name: _calibration_numbers(each) for name, each in stated.parts.items()}
    wrong = [name for name, each in stated.parts.items() if each.low > limit]
    error = judged.ece if isinstance(judged, Calibration) else judged.error
    without = "before recalibration (there is no calibration split)"
    if "calibration" in subject.dataset.splits:
        without = "as the network states it"
    when = without if stated.after is None else "after recalibration"
    reason = (
        f"calibration error {error:.4f}, upper end {judged.high:.4f}, {when}; "
        f"{judged.expected:.4f} is expected by chance"
    )
    return Outcome(
        "calibrated",
        "passed" if judged.high <= limit and not wrong else "failed",
        measured,
        {"calibration_error_high": limit},
        tuple(_label_finding(name, stated.parts[name], limit) for name in wrong),
        reason + (f"; surely above the limit for {', '.join(wrong)}" if wrong else ""),
    )


def _label_finding(name: str, found: Calibration, limit: float) -> Finding:
    message = f"the calibration error of label {name} is {found.ece:.4f}, at least {found.low:.4f}, above {limit:g}."
    advice = "One temperature serves all labels: is this one rarer or harder in training than in use?"
    return Finding("label-miscalibrated", "error", message, advice)


def held_out(subject: Subject, openings: int) -> Outcome:
    """The test split holds no more copies of seen rows than seen rows hold of one another, or they change nothing."""
    found, size = subject.overlap, subject.test.size
    exact, near = int(found.exact.sum()), int(found.near.sum())
    chance = {
        "exact": _chance_of_copies(exact, size, found.exact_within, found.exact_trials),
        "near": _chance_of_copies(near, size, found.near_within, found.near_trials),
    }
    excess = [kind for kind, probability in chance.items() if probability < CHANCE]
    measured: dict[str, Any] = {
        "exact_duplicates": exact,
        "near_duplicates": near,
        "exact_share_within_seen": found.exact_within,
        "near_share_within_seen": found.near_within,
        "p_value_of_excess": min(chance.values()),
        "test_examples": size,
        "test_openings": openings,
    }
    failed, verdict = False, "no more than the data hold by nature"
    if excess:
        failed, verdict, scores = _without(subject, ~(found.near if "near" in excess else found.exact))
        measured |= scores
    reason = f"{exact} exact and {near} near duplicates of seen rows among {size}, {verdict}"
    times = "once" if openings == 1 else f"{openings} times"
    return Outcome(
        "held_out",
        "failed" if failed else "passed",
        measured,
        {"p_value_of_excess": CHANCE},
        _duplicate_findings(excess, found, failed),
        f"{reason}; the test split was opened {times}",
    )


def _chance_of_copies(copies: int, size: int, within: float, trials: float) -> float:
    """Returns the probability of so many copies or more, where seen rows have copies at some rate.

    The rate is itself an estimate from so many independent trials: the posterior predictive of a uniform prior.
    """
    from scipy.stats import betabinom

    return float(betabinom.sf(copies - 1, size, within * trials + 1, (1 - within) * trials + 1))


def _without(subject: Subject, clean: Bool[np.ndarray, " test"]) -> tuple[bool, str, dict[str, float]]:
    """Returns whether the score hangs on rows that are not clean, that in words, and the scores with and without."""
    metric = subject.task.headline
    if clean.sum() < 2:
        return True, "and hardly a row is left to judge by", {}
    if not subject.objective.per_example:
        return True, "and a loss of the whole batch cannot be taken without them", {}
    whole, without = subject.evaluation.metrics[metric], subject.evaluation_of(clean).metrics[metric].value
    measured = {**_interval(metric, whole), f"{metric}_without_duplicates": without}
    if whole.low <= without <= whole.high:
        return False, f"but the score does not hang on them: {metric} {without:.4f} without, {whole} with", measured
    return True, f"and the score hangs on them: {metric} {without:.4f} without, {whole} with", measured


def tuned(subject: Subject) -> Outcome:
    """A study of more than one setting chose this one by validation. Its seed is no part of a setting."""
    study, own = subject.evidence.study, plain(subject.evidence.hyperparameters)
    if study is None:
        reason = "no study was given: pass study=vx.tune(experiment, space), or train through verax tune"
        return _not_run("tuned", reason)
    chosen = _without_seed(study.best.hyperparameters)
    unknown = [name for name in chosen if name not in own]
    if unknown:
        names = ", ".join(unknown)
        return _not_run(
            "tuned", f"the study chose {names}, of this network not known: pass hyperparameters= in the Evidence"
        )
    other = {name: own[name] for name, value in chosen.items() if own[name] != value}
    settings, objective = len({repr(_without_seed(trial.hyperparameters)) for trial in study.trials}), study.objective
    problems = [
        text
        for wrong, text in (
            (settings < 2, f"a study of {len(study.trials)} trials of one setting chose nothing"),
            (not str(objective).startswith(VALIDATION), f"the study chose by {objective}, not by validation"),
            (bool(other), f"the study chose {_setting(chosen)}, but this run has {_setting(other)}"),
        )
        if wrong
    ]
    measured = {"trials": settings, "objective": objective, "best_value": study.best.value, "chosen": chosen}
    search = getattr(study, "facts", {}).get("search")
    anew, text = _anew(study)
    return Outcome(
        "tuned",
        "failed" if problems else "passed",
        {**measured, **({"search": search} if search else {}), **anew},
        {"trials": 2},
        reason="; ".join(problems) or f"{_setting(chosen)} won among {settings} trials by {objective}{text}",
    )


def opened_by_study(study: Any) -> bool:
    """Returns whether a study has opened the test split, to say what its winner is worth."""
    winner = getattr(study, "winner", None)
    return winner is not None and bool(winner.test)


def _anew(study: Any) -> tuple[dict[str, Any], str]:
    """Returns what fresh seeds say of a study's winner, as measured and in words; nothing where there were none."""
    winner = getattr(study, "winner", None)
    if winner is None:
        return {}, ""
    value, luck, lanes = winner.value.mean, winner.luck, winner.value.lanes
    by_number = {trial.number: trial for trial in study.trials}
    measured = {
        "winner_value": value._asdict(),
        "fresh_seeds": lanes,
        "luck": luck._asdict(),
        "ties": [_setting(by_number[each].hyperparameters) for each in winner.ties if each != study.best.number],
    }
    if lanes < 2:
        return measured, f"; {value.value:.4f} with a fresh seed"
    return measured, f"; {value} with {lanes} fresh seeds, luck {luck}"


def _without_seed(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in plain(hyperparameters).items() if name != "seed"}


def _setting(hyperparameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in hyperparameters.items())


def _interval(metric: str, estimate: Estimate) -> dict[str, float]:
    return {metric: estimate.value, f"{metric}_low": estimate.low, f"{metric}_high": estimate.high}


def _calibration_numbers(value: Calibration | PredictiveCalibration) -> dict[str, float]:
    if isinstance(value, Calibration):
        names = ("ece", "debiased", "low", "high", "expected", "p_value", "brier", "nll")
        return {name: getattr(value, name) for name in names}
    levels = zip(value.levels, value.coverage, strict=True)
    shares = {f"coverage_{round(100 * level)}": share.value for level, share in levels}
    names = ("error", "low", "high", "expected", "p_value")
    return {**{name: getattr(value, name) for name in names}, **shares, "pit_ks": value.pit.ks}


def _duplicate_findings(excess: list[str], found: Overlap, failed: bool) -> tuple[Finding, ...]:
    if not excess:
        return ()
    kind, rows = ("exact", found.exact) if "exact" in excess else ("near", found.near)
    first = int(np.flatnonzero(rows)[0])
    copies = f"{int(rows.sum())} of {len(rows)} rows are {kind} duplicates of rows of other splits"
    advice = "Take duplicates out before splitting; keep rows of one origin (a patient, a file) in one split."
    name = "train-test-overlap" if kind == "exact" else "near-duplicate-leak"
    message = f"{copies}, more than duplication by nature explains."
    return (Finding(name, "error" if failed else "warning", message, advice, Split("test", first)),)


def _not_run(name: str, reason: str) -> Outcome:
    return Outcome(name, "not_run", reason=reason)
