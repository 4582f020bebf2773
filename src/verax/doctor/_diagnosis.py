"""What the doctor says: findings, the worst first, and every probe with its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from verax.doctor._probe import Examined
from verax.doctor._show import findings_text
from verax.findings import Finding


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What is wrong with a training program, as far as it was looked at.

    Attributes:
      findings: the likeliest cause first; `info` last.
      probes: every probe with its verdict and what it compared. One that could not run has not passed.
      curve: the loss of fixed training rows along the run, where one was made.
      seconds: of `check`, `run` and `fixes`.
    """

    findings: tuple[Finding, ...]
    probes: tuple[Examined, ...]
    curve: tuple[float, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def alarms(self) -> tuple[Finding, ...]:
        """The findings that say that something does harm."""
        return tuple(finding for finding in self.findings if finding.is_alarm)

    @property
    def passed(self) -> bool:
        """Whether there is no alarm. What no probe looked at has not passed: see `probes`."""
        return not self.alarms

    def to_json(self) -> dict[str, Any]:
        """Returns the diagnosis as plain values."""
        return {
            "passed": self.passed,
            "findings": [_plain(finding) for finding in self.findings],
            "probes": [
                {"name": each.name, "ids": list(each.ids), "verdict": each.verdict, "said": each.said}
                | {"seconds": round(each.seconds, 3)}
                for each in self.probes
            ],
            "curve": list(self.curve),
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
        }

    def __str__(self) -> str:
        asked = [each for each in self.probes if each.verdict in ("passed", "failed", "undecided")]
        curves = {"loss-not-decreasing": self.curve, "loss-divergence": self.curve, "overfitting": self.curve}
        said = findings_text(self.alarms, curves) if self.alarms else f"nothing found by {len(asked)} probes."
        unable = [each for each in self.probes if each.verdict == "could not run"]
        open_ = [each.name for each in self.probes if each.verdict == "undecided"]
        more = [f"undecided: {', '.join(open_)}: diagnose tries repairs."] if open_ else []
        return "\n".join([said, *more, *(f"not run: {each.name}: {each.said}" for each in unable)])


def _plain(finding: Finding) -> dict[str, Any]:
    place = None if finding.where is None else {"kind": type(finding.where).__name__.lower(), **asdict(finding.where)}
    return {**asdict(finding), "where": place, "evidence": list(finding.evidence)}
