"""Ten measured items and what they add up to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from verax.debug import DeadUnits
from verax.evaluate import Estimate
from verax.findings import Finding

Status = Literal["passed", "failed", "waived", "not_run"]

ITEMS = {
    "converges": "overfits one batch",
    "gradients": "gradients agree with numbers in float64",
    "finite": "no NaN or Inf at any step",
    "better_than_chance": "better than the simplest predictor",
    "calibrated": "stated confidence is met",
    "held_out": "judged on data it never saw",
    "tuned": "the setting was chosen by validation",
    "reload": "the saved model gives the same outputs in a fresh process",
    "inference_time": "fast enough",
    "memory": "small enough",
}


@dataclass(frozen=True)
class Outcome:
    """What one item of the checklist came to.

    Attributes:
      id: one of `ITEMS`.
      status: `passed`, `failed`, `waived` (with the user's reason) or `not_run` (with the cause): what was not measured
        is never passed.
      measured: the numbers, by name; units are in the names.
      limit: what they were held against, by name.
      findings: what was found on the way.
      reason: why it was waived or not run, or a sentence on what decided.
      rerun: how to measure this item alone.
    """

    id: str
    status: Status
    measured: Mapping[str, Any] = field(default_factory=dict)
    limit: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    rerun: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns the outcome as plain values for JSON."""
        return {
            "id": self.id,
            "title": ITEMS[self.id],
            "status": self.status,
            "reason": self.reason,
            "measured": plain(self.measured),
            "limit": plain(self.limit),
            "findings": [_finding_json(each) for each in self.findings],
            "rerun": self.rerun,
        }


def _finding_json(finding: Finding) -> dict[str, Any]:
    parts = {name: getattr(finding, name) for name in ("id", "severity", "message", "advice", "part", "tried")}
    more = {"evidence": list(finding.evidence), "confidence": finding.confidence, "step": finding.step}
    return {**parts, "where": str(finding.where or ""), **more}


@dataclass(frozen=True)
class Certificate:
    """The ten items together, with what they are about.

    Attributes:
      name: of what was certified.
      items: ten outcomes, in the order of `ITEMS`.
      test: the scores on the test split, by metric, each with its 95 % interval.
      fingerprints: digests of `weights`, `data` and, where it is known, `code`, by name.
      environment: versions, device, date.
      units: the dead units of each hidden layer along the training; why there are none, in words, where they could not
        be measured; None where nobody tried.
      details: what the report draws besides; not part of `certificate.json`.
    """

    name: str
    items: tuple[Outcome, ...]
    test: Mapping[str, Estimate] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    units: DeadUnits | str | None = None
    details: Any = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        found = tuple(item.id for item in self.items)
        if found != tuple(ITEMS):
            raise ValueError(f"items must be {', '.join(ITEMS)}, in this order, got {', '.join(found)}.")

    @property
    def verdict(self) -> Literal["passed", "failed"]:
        """`passed` only if every item is passed or waived."""
        return "passed" if all(item.status in ("passed", "waived") for item in self.items) else "failed"

    def item(self, name: str) -> Outcome:
        """Returns one outcome by its id.

        Raises:
          KeyError: if there is no such item.
        """
        return {item.id: item for item in self.items}[name]

    def headline(self) -> str:
        """Returns the verdict in one line, with the number of waivers, failures and items that were not run."""
        words = {"failed": "failed", "not_run": "not run", "waived": "waived"}
        counts = {status: [item.id for item in self.items if item.status == status] for status in words}
        parts = [f"{len(ids)} {words[status]} ({', '.join(ids)})" for status, ids in counts.items() if ids]
        passed = sum(item.status == "passed" for item in self.items)
        return f"{self.verdict}: {passed} of {len(self.items)} items passed" + "".join(f", {part}" for part in parts)

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.headline()}"]
        lines += [f"  {item.status:<8} {item.id:<20} {item.reason}" for item in self.items]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Returns the content of `certificate.json` (its schema is in docs/certificate.schema.json)."""
        return {
            "verax_certificate": 1,
            "name": self.name,
            "verdict": self.verdict,
            "headline": self.headline(),
            "items": [item.to_json() for item in self.items],
            "test": {name: dict(plain(estimate._asdict())) for name, estimate in self.test.items()},
            "fingerprints": dict(self.fingerprints),
            "environment": plain(self.environment),
            "units": self.units.to_json() if isinstance(self.units, DeadUnits) else self.units,
        }


def plain(value: Any) -> Any:
    """Returns a value as JSON can hold it: arrays as lists, numbers that are not finite as None, others as text.

    Example:
      >>> plain({"loss": np.float32("nan"), "sizes": (1, np.arange(2)), "activation": abs})
      {'loss': None, 'sizes': [1, [0, 1]], 'activation': '<built-in function abs>'}
    """
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if hasattr(value, "tolist"):  # arrays and numbers of NumPy and JAX
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | bool | int) else str(value)
