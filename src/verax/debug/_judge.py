"""Is a derivative right? Finite differences along a line, judged against rounding, curvature and kinks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verax.debug._differences import Point, Shift

SAFETY = 10.0  # times the measured rounding: some ten thousand differences are judged at once
SWEEP = (10.0, 0.1, 0.01, 0.001)  # further step sizes for what disagrees at the first, in units of it
KINK_STEPS = (0.1, 0.01)  # of the sweep: a smooth function's one-sided differences approach one another tenfold here
PLANTS = 10.0 ** np.arange(-9, 0.5, 0.5)  # relative errors that are planted to measure the power
LINE = np.arange(-4, 5) / 4  # points of a line fit, in units of its half-length
LINE_LENGTHS = (0.3, 0.03, 0.01, 0.003, 0.001)  # half-lengths for directions of length 1; bfloat16 needs the long ones
FIT_SAFETY = 6.0  # times the standard error of a fitted slope
INFORMATIVE = 30.0  # a length counts if it allows at most this many times what the sharpest allows


@dataclass(frozen=True)
class Judgement:
    """Derivatives along some lines: arrays with an entry for each.

    Attributes:
      automatic: slopes by automatic differentiation.
      numerical: slopes by finite differences.
      allowed: how far apart they may be.
      wrong: where they disagree.
      kink: where the function has a corner and the automatic slope lies between the one-sided ones.
      others: further estimates of the slopes, each with what it allows; agreement with one is enough.
    """

    automatic: np.ndarray
    numerical: np.ndarray
    allowed: np.ndarray
    wrong: np.ndarray
    kink: np.ndarray
    others: tuple[tuple[np.ndarray, np.ndarray], ...] = ()

    def detects(self) -> float | None:
        """Returns the smallest relative error that is noticed when all automatic slopes are scaled by it."""
        usable = ~self.kink & ~self.wrong & (self.automatic != 0)
        estimates = ((self.numerical, self.allowed), *self.others)
        for error in PLANTS:
            planted = self.automatic * (1 + error)
            if np.any(usable & np.all([np.abs(slope - planted) > allowed for slope, allowed in estimates], axis=0)):
                return float(error)
        return None


def rounding(at: Point, generator: np.random.Generator) -> float:
    """Returns the size of the rounding errors in a function's values.

    Values along a short line differ by a smooth function, which differences of fourth order remove, and by rounding
    (Moré and Wild, 2011, "Estimating computational noise"). Median of three directions, at least machine epsilon.
    """
    order, count, spacing = 4, 9, 1e-8
    factor = np.sqrt(1 / 70)  # (4!)**2 / 8!: the variance of a fourth difference of independent errors, inverted
    levels = []
    for _ in range(3):
        direction = [generator.normal(size=leaf.size) for leaf in at.leaves]
        length = np.sqrt(sum(np.sum(part**2) for part in direction)) or 1.0
        lines = [
            [(leaf, slice(None), part * (spacing * step / length)) for leaf, part in enumerate(direction)]
            for step in range(count)
        ]
        levels.append(factor * np.sqrt(np.mean(np.diff(at.evaluate(lines), order) ** 2)))
    here = float(at.evaluate([[]])[0])
    return float(max(np.median(levels), np.finfo(np.float64).eps * abs(here)))


def judge_differences(
    at: Point, lines: Sequence[Shift], automatic: np.ndarray, noise: float, *, eps: float, tolerance: float
) -> Judgement:
    """Compares slopes with central differences; where they disagree, tries other step sizes and looks for kinks.

    Args:
      at: the function.
      lines: displacements of length one step, `(leaf, positions, direction)`.
      automatic: the slopes along them.
      noise: size of the rounding errors of the function's values.
      eps: first step size.
      tolerance: allowed relative error.
    """
    plus, minus = _both_sides(at, lines, eps)
    numerical = (plus - minus) / (2 * eps)
    allowed = tolerance * np.maximum(np.abs(automatic), np.abs(numerical)) + SAFETY * noise / eps
    wrong = np.logical_not(np.abs(numerical - automatic) <= allowed)
    judgement = Judgement(automatic, numerical, allowed, wrong, np.zeros(len(lines), bool))
    suspects = np.flatnonzero(judgement.wrong)
    if not len(suspects):
        return judgement
    here = at.evaluate([[]])[0]
    suspects = suspects[np.argsort(-np.abs(numerical - automatic)[suspects])]
    for first in range(0, len(suspects), 128):
        some = suspects[first : first + 128]
        _look_closer(at, [lines[index] for index in some], some, judgement, here, noise, eps, tolerance)
        if judgement.wrong[some].any():
            break  # the leaf is wrong; the rest of the suspects stay counted as wrong
    return judgement


def _both_sides(at: Point, lines: Sequence[Shift], step: float) -> np.ndarray:
    values = at.evaluate([[(leaf, where, sign * step * amount)] for sign in (1, -1) for leaf, where, amount in lines])
    return values.reshape(2, -1)


def _look_closer(
    at: Point,
    lines: list[Shift],
    some: np.ndarray,
    judgement: Judgement,
    here: float,
    noise: float,
    eps: float,
    tolerance: float,
) -> None:
    """Clears those suspects in `judgement` that agree at another step size, and those that lie on a kink.

    A step size may clear a suspect only if its rounding is small against the disagreement; otherwise small steps,
    where rounding is large, would clear everything.
    """
    automatic = judgement.automatic[some]
    disagreement = np.abs(judgement.numerical[some] - automatic)
    sides, before, before_step = {}, None, 0.0
    for factor in SWEEP:
        step = factor * eps
        plus, minus = _both_sides(at, lines, step)
        numerical, blur = (plus - minus) / (2 * step), SAFETY * noise / step
        _acquit(judgement, some, numerical, blur, disagreement, tolerance)
        if before is not None:  # where the second derivative jumps the error shrinks with the step, not its square
            limit = numerical + (numerical - before) * step / (before_step - step)
            _acquit(judgement, some, limit, 2 * blur, disagreement, tolerance)
        before, before_step = numerical, step
        sides[factor] = ((here - minus) / step, (plus - here) / step)
    large, small = KINK_STEPS
    left, right = sides[small]
    gap, wider_gap = np.abs(right - left), np.abs(sides[large][1] - sides[large][0])
    rounding_here = 2 * SAFETY * noise / (small * eps)
    stays = (gap > rounding_here) & (gap > 0.3 * wider_gap)
    slack = rounding_here + tolerance * np.maximum(np.abs(left), np.abs(right))
    between = (automatic >= np.minimum(left, right) - slack) & (automatic <= np.maximum(left, right) + slack)
    is_kink = judgement.wrong[some] & stays & between
    judgement.kink[some] |= is_kink
    judgement.wrong[some] &= ~is_kink


def judge_fits(
    at: Point, lines: Sequence[Shift], automatic: np.ndarray, spread: np.ndarray, *, resolution: float, tolerance: float
) -> Judgement:
    """Compares slopes with those of cubics fitted to the function along lines, for functions with coarse rounding.

    The residuals of a fit measure rounding, kinks and curvature together, so its standard error says what it can tell.
    Long lines see kinks, short ones rounding: a slope is wrong if it disagrees on every length.

    Args:
      at: the function.
      lines: displacements of length 1, `(leaf, positions, direction)`.
      automatic: the slopes along them.
      spread: standard deviation of the automatic slopes under changes of the parameters below their resolution.
      resolution: machine epsilon of the narrowest type on the way.
      tolerance: allowed relative error.
    """
    basis = np.stack([LINE**power for power in range(4)], axis=1)
    inverse = np.linalg.inv(basis.T @ basis)
    shifts = [
        [(leaf, where, length * t * amount)] for length in LINE_LENGTHS for leaf, where, amount in lines for t in LINE
    ]
    values = at.evaluate(shifts).reshape(len(LINE_LENGTHS), len(lines), len(LINE))
    weights = values @ basis @ inverse  # lengths lines powers
    residuals = values - weights @ basis.T
    variance = np.sum(residuals**2, axis=-1) / (len(LINE) - basis.shape[1])
    step = resolution * np.abs(values).max()
    coarse = np.ptp(values, axis=-1) < 20 * step  # on so few levels residuals do not show the rounding
    variance = np.maximum(variance, np.where(coarse, step**2, 0.0))
    lengths = np.array(LINE_LENGTHS)[:, None]
    slopes, errors = weights[..., 1] / lengths, np.sqrt(variance * inverse[1, 1]) / lengths
    allowed = tolerance * np.maximum(np.abs(automatic), np.abs(slopes)) + FIT_SAFETY * (errors + spread)
    allowed = np.where(allowed <= INFORMATIVE * allowed.min(axis=0), allowed, -np.inf)  # the others acquit nobody
    wrong = np.asarray((np.abs(slopes - automatic) <= allowed).any(axis=0) == 0)
    order = np.argsort(np.where(allowed < 0, np.inf, allowed), axis=0)
    slopes, allowed = np.take_along_axis(slopes, order, axis=0), np.take_along_axis(allowed, order, axis=0)
    others = tuple(zip(slopes[1:], allowed[1:], strict=True))
    return Judgement(automatic, slopes[0], allowed[0], wrong, np.zeros(len(lines), bool), others)


def _acquit(
    judgement: Judgement,
    some: np.ndarray,
    numerical: np.ndarray,
    blur: float,
    disagreement: np.ndarray,
    tolerance: float,
) -> None:
    """Clears the suspects that agree with other estimates of their slopes, blurred by rounding."""
    automatic = judgement.automatic[some]
    allowed = tolerance * np.maximum(np.abs(automatic), np.abs(numerical)) + blur
    cleared = judgement.wrong[some] & (np.abs(numerical - automatic) <= allowed) & (blur < disagreement / 4)
    judgement.numerical[some] = np.where(cleared, numerical, judgement.numerical[some])
    judgement.allowed[some] = np.where(cleared, allowed, judgement.allowed[some])
    judgement.wrong[some] &= ~cleared


def index_of(position: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the index of a number from its position in row-major order."""
    return tuple(int(i) for i in np.unravel_index(int(position), shape))
