"""Is a derivative right? Finite differences along a line, judged against rounding, curvature and kinks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from verax.debug._differences import Point, Shift

SAFETY = 10.0  # times the measured rounding: some ten thousand differences are judged at once
NOISE_LINES = 14
SWEEP = (10.0, 0.1, 0.01, 0.001)  # further step sizes for what disagrees at the first, in units of it
KINK_STEPS = (0.1, 0.01)  # of the sweep: a smooth function's one-sided differences approach one another tenfold here
PLANTS = 10.0 ** np.arange(-9, 0.5, 0.5)  # relative errors that are planted to measure the power
LINE = np.arange(-4, 5) / 4  # points of a line fit, in units of its half-length
LINE_LENGTHS = (0.3, 0.03, 0.01, 0.003, 0.001)  # half-lengths for directions of length 1; bfloat16 needs the long ones
FIT_SAFETY = 6.0  # times the standard error of a fitted slope
SMOOTH = 1e-4  # of the range of the values along a line: what a cubic may leave of a function without corners
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
        planted = self.automatic[usable] * (1 + PLANTS[:, None])
        seen = np.ones(planted.shape, bool)
        for slope, allowed in ((self.numerical, self.allowed), *self.others):
            seen &= np.abs(slope[usable] - planted) > allowed[usable]
        noticed = PLANTS[seen.any(axis=1)]
        return float(noticed[0]) if len(noticed) else None

    def of(self, chosen: np.ndarray) -> Judgement:
        """Returns the judgement of some lines."""
        return Judgement(
            self.automatic[chosen], self.numerical[chosen], self.allowed[chosen], self.wrong[chosen], self.kink[chosen]
        )

    def joined(self, other: Judgement) -> Judgement:
        """Returns both judgements as one; what `others` allow is left behind."""
        return Judgement(
            np.concatenate([self.automatic, other.automatic]),
            np.concatenate([self.numerical, other.numerical]),
            np.concatenate([self.allowed, other.allowed]),
            np.concatenate([self.wrong, other.wrong]),
            np.concatenate([self.kink, other.kink]),
        )


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines through a point: along single coordinates, then along directions through a whole leaf.

    Attributes:
      at: the function and where it is.
      positions: of the coordinates, in the vector of all of them.
      directions: displacements of length one step, `(leaf, positions, direction)`.
    """

    at: Point
    positions: np.ndarray
    directions: tuple[Shift, ...] = ()

    @cached_property
    def leaf(self) -> np.ndarray:
        """The number of the leaf that each line goes through."""
        of_coordinates = np.searchsorted(self.at.function.starts, self.positions, side="right") - 1
        return np.concatenate([of_coordinates, [leaf for leaf, _, _ in self.directions]]).astype(int)

    def through(self, leaf: int) -> Lines:
        """Returns those through one leaf."""
        chosen = self.leaf[: len(self.positions)] == leaf
        return Lines(self.at, self.positions[chosen], tuple(each for each in self.directions if each[0] == leaf))

    def slopes(self, gradient: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the slopes along the lines by a gradient, which is given flat for each leaf."""
        whole = np.concatenate([np.zeros(0), *gradient])
        along = [float(gradient[leaf][where] @ direction) for leaf, where, direction in self.directions]
        return np.concatenate([whole[self.positions], along])

    def both_sides(self, step: float, chosen: np.ndarray) -> np.ndarray:
        """Returns the values a step forward and a step back along some lines."""
        count = len(self.positions)
        some, others = self.positions[chosen[chosen < count]], chosen[chosen >= count] - count
        of_coordinates = self.at.coordinates(np.tile(some, 2), np.repeat([step, -step], len(some))).reshape(2, -1)
        shifts = [[_scaled(self.directions[each], sign * step)] for sign in (1, -1) for each in others]
        values = np.empty((2, len(chosen)))
        values[:, chosen < count] = of_coordinates
        values[:, chosen >= count] = self.at.evaluate(shifts).reshape(2, -1)
        return values


def _scaled(line: Shift, factor: float) -> Shift:
    leaf, where, direction = line
    return leaf, where, factor * direction


def rounding(at: Point, generator: np.random.Generator) -> float:
    """Returns the size of the rounding errors in a function's values.

    Values along a short line differ by a smooth function, which differences of fourth order remove, and by rounding
    (Moré and Wild, 2011, "Estimating computational noise"). Upper quartile of some lines, at least machine epsilon:
    along single coordinates where these are lanes of a program that is compiled anyway, else along random directions.
    """
    order, count, spacing = 4, 9, 1e-8
    factor = np.sqrt(1 / 70)  # (4!)**2 / 8!: the variance of a fourth difference of independent errors, inverted
    if at.function.is_vectorised:
        some = generator.integers(at.size, size=NOISE_LINES)
        steps = np.tile(spacing * np.arange(count), NOISE_LINES)
        values = at.coordinates(np.repeat(some, count), steps).reshape(-1, count)
    else:
        values = at.evaluate(_short_lines(at, generator, count, spacing)).reshape(-1, count)
    levels = factor * np.sqrt(np.mean(np.diff(values, order) ** 2, axis=1))
    return float(max(np.quantile(levels, 0.75), np.finfo(np.float64).eps * abs(at.value)))


def _short_lines(at: Point, generator: np.random.Generator, count: int, spacing: float) -> list[list[Shift]]:
    points: list[list[Shift]] = []
    for _ in range(3):
        direction = [generator.normal(size=leaf.size) for leaf in at.leaves]
        length = np.sqrt(sum(np.sum(part**2) for part in direction)) or 1.0
        points += [
            [(leaf, slice(None), part * (spacing * step / length)) for leaf, part in enumerate(direction)]
            for step in range(count)
        ]
    return points


def judge_differences(lines: Lines, automatic: np.ndarray, noise: float, *, eps: float, tolerance: float) -> Judgement:
    """Compares slopes with central differences; where they disagree, tries other step sizes and looks for kinks.

    Args:
      lines: through a point.
      automatic: the slopes along them.
      noise: size of the rounding errors of the function's values.
      eps: first step size.
      tolerance: allowed relative error.
    """
    plus, minus = lines.both_sides(eps, np.arange(len(automatic)))
    numerical = (plus - minus) / (2 * eps)
    allowed = tolerance * np.maximum(np.abs(automatic), np.abs(numerical)) + SAFETY * noise / eps
    wrong = np.logical_not(np.abs(numerical - automatic) <= allowed)
    judgement = Judgement(automatic, numerical, allowed, wrong, np.zeros(len(automatic), bool))
    first_jumps = np.abs(plus - minus)
    for leaf in np.unique(lines.leaf[wrong]):
        suspects = np.flatnonzero(judgement.wrong & (lines.leaf == leaf))
        suspects = suspects[np.argsort(-np.abs(numerical - automatic)[suspects])]
        for first in range(0, len(suspects), 128):
            some = suspects[first : first + 128]
            _look_closer(lines, some, judgement, first_jumps[some], noise, eps, tolerance)
            if judgement.wrong[some].any():
                break  # the leaf is wrong; the rest of the suspects stay counted as wrong
    return judgement


def _look_closer(
    lines: Lines,
    some: np.ndarray,
    judgement: Judgement,
    first_jumps: np.ndarray,
    noise: float,
    eps: float,
    tolerance: float,
) -> None:
    """Clears those suspects in `judgement` that agree at another step size, and those that lie on a kink or a jump.

    A step size may clear a suspect only if its rounding is small against the disagreement; otherwise small steps,
    where rounding is large, would clear everything.
    """
    automatic, here = judgement.automatic[some], lines.at.value
    disagreement = np.abs(judgement.numerical[some] - automatic)
    sides, before, before_step, jumps = {}, None, 0.0, first_jumps
    for factor in SWEEP:
        step = factor * eps
        plus, minus = lines.both_sides(step, some)
        jumps = np.abs(plus - minus)
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
    # A jump (sign, round) is as high at a step a thousand times shorter, where a slope would have left nothing of it.
    is_jump = (jumps > 0.5 * first_jumps) & (jumps > 4 * SAFETY * noise)
    is_kink = judgement.wrong[some] & ((stays & between) | is_jump)
    judgement.kink[some] |= is_kink
    judgement.wrong[some] &= ~is_kink


def judge_fits(
    at: Point,
    lines: Sequence[Shift],
    automatic: np.ndarray,
    spread: np.ndarray,
    *,
    resolution: float,
    tolerance: float,
    smooth: bool = False,
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
      smooth: whether the sharpest of those lengths alone counts along which the function is as good as a cubic. Where
        there is none, nothing is said to be wrong, and nothing would have been detected.
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
    if (
        smooth
    ):  # a corner at the point itself moves a fitted slope by up to 6.3 of its standard errors: half as much again
        allowed = allowed + 0.5 * FIT_SAFETY * errors
        is_rough = np.sqrt(variance) > SMOOTH * np.ptp(values, axis=-1)
        allowed = np.where(is_rough, np.inf, allowed)
    informative = 1.0 if smooth else INFORMATIVE
    allowed = np.where(allowed <= informative * allowed.min(axis=0), allowed, -np.inf)  # the others acquit nobody
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
