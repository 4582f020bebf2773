"""A probe: one look at a training program, with its verdict, what it compared and what it found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from verax.doctor._subject import Subject
from verax.findings import Finding

Verdict = Literal["passed", "failed", "undecided", "not applicable", "could not run"]
Stage = Literal["check", "run", "record"]


@dataclass(frozen=True, eq=False)
class Repair:
    """A change of a program that may mend it.

    Attributes:
      name: what is changed, in words that follow "with": `inputs standardised`.
      change: from the program to the changed one.
    """

    name: str
    change: Callable[[Subject], Subject]


@dataclass(frozen=True, eq=False)
class Suspicion:
    """A finding that a repair decides: it is reported if the repair is seen to help, and only then as an alarm.

    Attributes:
      finding: as it is reported if the repair helps.
      repairs: tried in turn until one helps.
    """

    finding: Finding
    repairs: tuple[Repair, ...]


class Seen(NamedTuple):
    """What a probe saw.

    Attributes:
      compared: what was compared, with its numbers, in a line.
      findings: what is wrong.
      suspicions: what may be wrong, with repairs that decide it.
    """

    compared: str
    findings: tuple[Finding, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()


class NotApplicable(Exception):
    """Raised by a probe where its question makes no sense, with the reason."""


class Probe(NamedTuple):
    """One probe of the doctor.

    Attributes:
      name: for people: `batch independence`.
      ids: what it can find.
      look: `subject -> Seen`, `(subject, trajectory, outcome) -> Seen` where the stage is `run`, `run -> Seen` where it
        is `record`.
      stage: `check` needs no training, `run` looks at a training run, `record` at what a finished `vx.Run` left behind.
    """

    name: str
    ids: tuple[str, ...]
    look: Callable[..., Seen]
    stage: Stage = "check"


@dataclass(frozen=True, eq=False)
class Examined:
    """A probe that was asked.

    Attributes:
      name: of the probe.
      ids: what it can find.
      verdict: `failed` if it raised an alarm, `undecided` if only a repair would tell and none was tried; neither that
        nor a probe that could not run has passed.
      said: what was compared, or why it was not.
      seconds: that it took.
      findings: what is wrong.
      suspicions: what may be wrong.
    """

    name: str
    ids: tuple[str, ...]
    verdict: Verdict
    said: str
    seconds: float
    findings: tuple[Finding, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()


def examine(probe: Probe, *subjects: Any) -> Examined:
    """Returns what a probe saw. An error of the program under examination does not stop the others."""
    start = time.perf_counter()
    try:
        seen = probe.look(*subjects)
    except NotApplicable as reason:
        return Examined(probe.name, probe.ids, "not applicable", str(reason), time.perf_counter() - start)
    except Exception as error:
        said = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        return Examined(probe.name, probe.ids, "could not run", said, time.perf_counter() - start)
    alarmed = any(finding.is_alarm for finding in seen.findings)
    verdict: Verdict = "failed" if alarmed else "undecided" if seen.suspicions else "passed"
    seconds = time.perf_counter() - start
    return Examined(probe.name, probe.ids, verdict, seen.compared, seconds, seen.findings, seen.suspicions)


def examine_all(probes: Iterable[Probe], *subjects: Any, seconds: float | int) -> list[Examined]:
    """Returns what each probe saw, in order; those after the time is up say so."""
    start, examined = time.perf_counter(), []
    for probe in probes:
        if time.perf_counter() - start > seconds:
            said = f"the {seconds:g} seconds were up. Give more with seconds=."
            examined.append(Examined(probe.name, probe.ids, "could not run", said, 0.0))
        else:
            examined.append(examine(probe, *subjects))
    return examined
