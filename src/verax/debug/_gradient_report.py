"""What a gradient check found: a verdict for each leaf, with the numbers behind it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from verax.findings import Finding, Span
from verax.jaxpr import Cast, Place

Status = Literal["passed", "failed", "undecided"]


class Worst(NamedTuple):
    """Where the two gradients of a leaf differ most, measured against what the difference may be.

    Attributes:
      where: index of the coordinate, or None for a direction through the whole leaf.
      automatic: the derivative by automatic differentiation.
      numerical: the derivative by finite differences.
    """

    where: tuple[int, ...] | None
    automatic: float
    numerical: float


@dataclass(frozen=True)
class LeafGradient:
    """The verdict on one leaf.

    Attributes:
      path: its path in the parameters.
      shape: its shape.
      status: `undecided` if every coordinate that was looked at lies on a kink, if its gradient is smaller than what
        differences can show, or if it goes through a rounding that its gradient passes by on purpose.
      coordinates: how many of its coordinates were compared.
      directions: how many directions through the whole leaf were compared.
      kinks: how many of these lie where the function has a corner (ReLU at zero: its two one-sided differences
        disagree and the automatic derivative lies between them) or jumps (sign, round). They are counted, not failed.
      wrong: how many disagree.
      relative_error: norm of the difference over the norm of the gradient, over all that was compared but kinks.
      worst: where the disagreement is largest.
      detects: the smallest relative error of this leaf's gradient that this check would have caught, found by planting;
        None where the gradient is zero and there is nothing to scale.
    """

    path: str
    shape: tuple[int, ...]
    status: Status
    coordinates: int
    directions: int
    kinks: int
    wrong: int
    relative_error: float
    worst: Worst
    detects: float | None


@dataclass(frozen=True)
class RuleGradient:
    """The verdict on one derivative that the loss brings with it, checked alone at the operands that it gets there.

    Attributes:
      kind: `custom_vjp` or `custom_jvp`.
      name: the function that has the rule.
      definition: where it is defined; None if not known.
      place: where it is used.
      status: `straight-through` if it passes a gradient through what is flat, as a rounding is; `undecided` if its
        operands are not finite, or all on kinks.
      worst: where its derivative and the difference lie furthest apart; the index is that of an operand's number.
    """

    kind: str
    name: str
    definition: Span | None
    place: Place
    status: Literal["passed", "failed", "straight-through", "undecided"]
    worst: Worst

    def __str__(self) -> str:
        defined = f", defined at {self.definition.file}:{self.definition.line}" if self.definition else ""
        numbers = f"automatic {self.worst.automatic:.6g}, numerical {self.worst.numerical:.6g}"
        return f"the {self.kind} of {self.name or 'a function'}{defined}, used in {self.place} ({numbers})"


@dataclass(frozen=True)
class GradientReport:
    """Automatic against numerical gradients, leaf by leaf.

    Attributes:
      leaves: a verdict for each leaf that holds floating-point numbers.
      loss: the value of the loss.
      precision: `float64`, or the narrowest type that the check could not replace by it (in a callback).
      casts: where the loss narrows float64, if it does. The check computed in `precision` there.
      findings: what is wrong, by leaf.
      skipped: the leaves that hold no floating-point numbers, with their types.
      rules: a verdict for each `custom_vjp` and `custom_jvp` that the gradient goes through (the first 64), but for
        JAX's own.
    """

    leaves: tuple[LeafGradient, ...]
    loss: float
    precision: str
    casts: tuple[Cast, ...] = ()
    findings: tuple[Finding, ...] = ()
    skipped: tuple[str, ...] = ()
    rules: tuple[RuleGradient, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no error was found."""
        return not any(finding.severity == "error" for finding in self.findings)

    @property
    def checked(self) -> int:
        """The number of coordinates that were compared one by one."""
        return sum(leaf.coordinates for leaf in self.leaves)

    @property
    def detects(self) -> float | None:
        """The smallest relative error that would have been caught in whichever leaf it was; None if no leaf has one."""
        powers = [leaf.detects for leaf in self.leaves if leaf.detects is not None]
        return max(powers) if powers else None

    def __str__(self) -> str:
        header = ("leaf", "verdict", "compared", "kinks", "relative error", "automatic", "numerical", "detects")
        rows = [header, *(_row(leaf) for leaf in self.leaves)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        power = (
            "" if self.detects is None else f", would have caught a relative error of {self.detects:.0e} in any leaf"
        )
        verdict = "passed" if self.passed else "failed"
        lines.append(f"{verdict}: {self.checked} coordinates in {self.precision}{power}")
        instead = "; checked in float64" if self.precision == "float64" else ""
        lines += [f"narrowed: {cast}{instead}" for cast in self.casts]
        lines += [f"skipped: {', '.join(self.skipped)}"] if self.skipped else []
        lines += [f"rule {rule.status}: {rule}" for rule in self.rules]
        return "\n".join([*lines, *map(str, self.findings)])

    def to_json(self) -> dict[str, Any]:
        """Returns the report as plain values."""
        return {
            "passed": self.passed,
            "loss": self.loss,
            "precision": self.precision,
            "coordinates": self.checked,
            "would_detect": self.detects,
            "leaves": [asdict(leaf) | {"worst": leaf.worst._asdict()} for leaf in self.leaves],
            "rules": [
                {"kind": rule.kind, "name": rule.name, "status": rule.status, "where": str(rule.place),
                 "definition": None if rule.definition is None else str(rule.definition)}
                for rule in self.rules
            ],
            "narrowed_at": list(map(str, self.casts)),
            "skipped": list(self.skipped),
            "findings": [
                {"id": each.id, "severity": each.severity, "where": None if each.where is None else str(each.where),
                 "message": each.message, "advice": each.advice}
                for each in self.findings
            ],
        }  # fmt: skip


def _row(leaf: LeafGradient) -> tuple[str, ...]:
    compared = f"{leaf.coordinates}" + (f" + {leaf.directions} directions" if leaf.directions else "")
    power = "-" if leaf.detects is None else f"{leaf.detects:.0e}"
    numbers = (f"{leaf.relative_error:.1e}", f"{leaf.worst.automatic:.6g}", f"{leaf.worst.numerical:.6g}")
    return (leaf.path or "(the only leaf)", leaf.status, compared, str(leaf.kinks), *numbers, power)
