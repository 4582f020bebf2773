"""`vx.check` and `vx.diagnose`: all probes, a run, and the repairs that decide what they suspect."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import jax

from verax.doctor._diagnosis import Diagnosis
from verax.doctor._probe import Examined, Suspicion, examine_all
from verax.doctor._program import TrainingProgram
from verax.doctor._rank import ranked
from verax.doctor._recorded import monitored_findings, recorded
from verax.doctor._subject import Subject, subject_of
from verax.doctor._trajectory import Trajectory, train
from verax.doctor._trial import Outcome, Trial, outcome_of, try_repair, worth_of
from verax.doctor.probes import CHECKS, RECORDS, RUNS
from verax.findings import Finding, InputError
from verax.train import Experiment, Monitored, Run

OF_THE_RUN = 0.75  # of its seconds goes into training, the rest into reading it
TELLING = 200  # steps of a run that was left before its end, for a repair to be judged by them
GOOD = 0.02  # error of training and held-out rows below which no repair can be worth it (see `_trial.REPAIRED`)


def check(program: TrainingProgram | Experiment, *, seconds: float | int = 20.0) -> Diagnosis:
    """Returns what is wrong with a training program, without training it.

    Args:
      program: an experiment, or a training program in its parts.
      seconds: after which no further probe begins; those that are left say so.

    Raises:
      ValueError: if `seconds` is not positive.
    """
    _positive("seconds", seconds)
    began = time.perf_counter()
    subject = _subject(program)
    if isinstance(subject, Diagnosis):
        return subject
    with as_the_user_runs_it():
        examined = examine_all(CHECKS, subject, seconds=seconds)
    findings = [finding for each in examined for finding in each.findings]
    suspected = [_suspected(suspicion) for each in examined for suspicion in each.suspicions]
    return Diagnosis(ranked([*findings, *suspected]), tuple(examined), (), {"check": time.perf_counter() - began})


def diagnose(
    what: TrainingProgram | Experiment | Run | Monitored,
    *,
    seconds: float | int = 20.0,
    fix_seconds: float | int = 60.0,
) -> Diagnosis:
    """Returns what is wrong with a training program: checked, trained and watched, and repairs tried.

    Args:
      what: an experiment, or a training program in its parts; a finished run, whose records are read in place of
        another training; or what `vx.read_monitor` gave, of which there is less to say.
      seconds: for checking, and as many again for the run.
      fix_seconds: for the repairs; 0 tries none, and what only a repair decides is then a remark.

    Raises:
      ValueError: if a number of seconds is out of range.
    """
    _positive("seconds", seconds)
    if not fix_seconds >= 0:
        raise ValueError(f"fix_seconds must not be negative, got {fix_seconds!r}.")
    if isinstance(what, Monitored):
        return Diagnosis(ranked(monitored_findings(what)), ())
    subject = _subject(what.experiment if isinstance(what, Run) else what)
    if isinstance(subject, Diagnosis):
        return subject
    with as_the_user_runs_it():
        clock = [time.perf_counter()]
        examined = examine_all(CHECKS, subject, seconds=seconds)
        examined += examine_all(RECORDS, what, seconds=seconds) if isinstance(what, Run) else []
        clock.append(time.perf_counter())
        try:
            budget = OF_THE_RUN * seconds
            trajectory = recorded(subject, what) if isinstance(what, Run) else train(subject, seconds=budget)
            outcome = outcome_of(subject, trajectory.final)
        except Exception as error:  # of the program: what was found before the run is said all the same
            return _without_run(examined, error, clock)
        examined += examine_all(RUNS, subject, trajectory, outcome, seconds=seconds - budget)
        clock.append(time.perf_counter())
        tried = _try_all(subject, trajectory, outcome, examined, fix_seconds, is_recorded=isinstance(what, Run))
        clock.append(time.perf_counter())
    helped = [(suspicion.finding, trial) for suspicion, trial in tried if trial.helped]
    findings = [_as_it_went(finding, outcome) for each in examined for finding in each.findings]
    open_ = [] if _is_good(outcome) else _undecided(examined, tried)
    examined = [_decided(each, tried, _is_good(outcome)) for each in examined]
    taken = [end - start for start, end in pairwise(clock)]
    spent = {"check": taken[0], "run": taken[1], "fixes": taken[2]}
    return Diagnosis(ranked([*findings, *open_], helped), tuple(examined), tuple(trajectory.curve.tolist()), spent)


def _without_run(examined: Sequence[Examined], error: Exception, clock: Sequence[float]) -> Diagnosis:
    """Returns what was found before a training that could not be made, and why it could not."""
    said = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    unmade = Examined("training run", (), "could not run", said, time.perf_counter() - clock[-1])
    findings = [finding for each in examined for finding in each.findings]
    spent = {"check": clock[1] - clock[0], "run": unmade.seconds, "fixes": 0.0}
    return Diagnosis(ranked(findings), (*examined, unmade), (), spent)


def _try_all(
    subject: Subject,
    trajectory: Trajectory,
    outcome: Outcome,
    examined: Sequence[Examined],
    seconds: float | int,
    *,
    is_recorded: bool,
) -> list[tuple[Suspicion, Trial]]:
    """Returns what the repairs of suspicions did: the one that helped, or the last that did not.

    A run that was recorded is first made again in the doctor's own way, so that only the repair differs.

    None is tried where a proof has already named the cause, where nothing is left to repair, or where the time allowed
    for a few steps of the run only.
    """
    proved = [each for one in examined for each in one.findings if each.severity == "error" and each.confidence == 1.0]
    is_short = not trajectory.complete and trajectory.broken is None and trajectory.steps < TELLING
    if proved or _is_good(outcome) or is_short:
        return []
    tried, until, seen = [], time.perf_counter() + seconds, set()
    if is_recorded and seconds > 0 and any(suspicion.repairs for one in examined for suspicion in one.suspicions):
        trajectory = train(subject, seconds=seconds)
        outcome = outcome_of(subject, trajectory.final)
    for suspicion in (each for one in examined for each in one.suspicions):
        if suspicion.finding.id in seen:
            continue
        trial, worth = None, worth_of(suspicion.finding)
        for repair in suspicion.repairs:
            left = until - time.perf_counter()
            if left <= 0:
                return tried
            trial = try_repair(subject, trajectory, outcome, repair, seconds=left, worth=worth)
            if trial.helped:
                seen.add(suspicion.finding.id)
                break
        if trial is not None:
            tried.append((suspicion, trial))
    return tried


def _undecided(examined: Sequence[Examined], tried: Sequence[tuple[Suspicion, Trial]]) -> list[Finding]:
    """Returns the suspicions that no repair decided, as remarks."""
    decided = [suspicion for suspicion, _ in tried]
    return [_suspected(each) for one in examined for each in one.suspicions if each not in decided]


def _decided(examined: Examined, tried: Sequence[tuple[Suspicion, Trial]], is_good: bool) -> Examined:
    """Returns a probe with the verdict of its repairs; where nothing was left to repair, it passed."""
    if examined.verdict != "undecided":
        return examined
    trials = [trial for suspicion, trial in tried if suspicion in examined.suspicions]
    if any(trial.helped for trial in trials):
        return replace(examined, verdict="failed")
    return replace(examined, verdict="passed") if is_good or len(trials) == len(examined.suspicions) else examined


def _is_good(outcome: Outcome) -> bool:
    return outcome.judged.finite and max(outcome.judged.error, outcome.train.error) < GOOD


def _as_it_went(finding: Finding, outcome: Outcome) -> Finding:
    """Returns a finding; as a remark if it is about the steps, and the run learnt all there was to learn with them."""
    if not (finding.is_alarm and finding.part in ("optimizer", "schedule") and _is_good(outcome)):
        return finding
    cost = f"it cost nothing: the error is {outcome.judged.error:.2g} at the end"
    return replace(finding, severity="info", evidence=(*finding.evidence, cost))


def _suspected(suspicion: Suspicion) -> Finding:
    """Returns a suspicion that no repair decided, as a remark."""
    finding = suspicion.finding
    if not suspicion.repairs:
        return replace(finding, severity="info")
    tries = f"diagnose tries {suspicion.repairs[0].name}, where time allows and nothing else is proved"
    return replace(finding, severity="info", advice=f"Not decided: {tries}.")


def _subject(program: TrainingProgram | Experiment) -> Subject | Diagnosis:
    """Returns the program as the probes see it; what is wrong with the data of an experiment is a diagnosis."""
    try:
        return subject_of(program)
    except InputError as error:
        if not error.findings:
            raise
        return Diagnosis(error.findings, (), (), {})


@contextlib.contextmanager
def as_the_user_runs_it() -> Iterator[None]:
    """Lets the user's program promote types and ranks as JAX does by default."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def _positive(name: str, value: float | int) -> None:
    if not value > 0:
        raise ValueError(f"{name} must be positive, got {value!r}.")
