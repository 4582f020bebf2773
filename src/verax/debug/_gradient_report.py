"""What a gradient check found: a verdict for each leaf, with the numbers behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from verax.findings import Finding
from verax.jaxpr import Cast

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
      status: `undecided` if every coordinate that was looked at lies on a kink.
      coordinates: how many of its coordinates were compared.
      directions: how many directions through the whole leaf were compared.
      kinks: how many of these lie where the function has a corner (ReLU at zero): its two one-sided differences
        disagree and the automatic derivative lies between them. They are counted, not failed.
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
class GradientReport:
    """Automatic against numerical gradients, leaf by leaf.

    Attributes:
      leaves: a verdict for each leaf that holds floating-point numbers.
      loss: the value of the loss.
      precision: `float64`, or the narrowest type that the loss computes in.
      casts: where the loss narrows float64, if it does.
      findings: what is wrong, by leaf.
    """

    leaves: tuple[LeafGradient, ...]
    loss: float
    precision: str
    casts: tuple[Cast, ...] = ()
    findings: tuple[Finding, ...] = ()

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
        lines += [f"narrowed: {cast}" for cast in self.casts]
        return "\n".join([*lines, *map(str, self.findings)])


def _row(leaf: LeafGradient) -> tuple[str, ...]:
    compared = f"{leaf.coordinates}" + (f" + {leaf.directions} directions" if leaf.directions else "")
    power = "-" if leaf.detects is None else f"{leaf.detects:.0e}"
    numbers = (f"{leaf.relative_error:.1e}", f"{leaf.worst.automatic:.6g}", f"{leaf.worst.numerical:.6g}")
    return (leaf.path or "(the only leaf)", leaf.status, compared, str(leaf.kinks), *numbers, power)
