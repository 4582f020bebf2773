"""The gradient check: automatic differentiation against finite differences, leaf by leaf, in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from verax.debug._differences import Point, Shift, float64
from verax.debug._gradient_causes import RULES, Cause, RuleCheck, causes
from verax.debug._gradient_findings import findings_on, findings_on_rules, non_finite_loss, not_deterministic
from verax.debug._gradient_program import Call, GradientProgram, call_of, make_program
from verax.debug._gradient_report import GradientReport, LeafGradient, Worst
from verax.debug._judge import Judgement, Lines, index_of, judge_differences, judge_fits, rounding
from verax.jaxpr import has_primitive
from verax.trees import Tree

FULL = 20_000  # coordinates that are all compared: some seconds for a small dense network
SAMPLED = 2_000  # coordinates that are drawn in larger trees, shared among the leaves
WITH_CONVOLUTIONS = 500  # the same two limits where a call takes milliseconds
FEWEST = 8  # coordinates of a leaf, however large the tree
DIRECTIONS = 3  # random directions through each leaf that is sampled
NARROW_TOLERANCES = {"bfloat16": 5e-2, "float16": 1e-2, "float32": 1e-3}  # coarsest first
WEAK = 1.01e-4  # relative error: where coordinates could not show one as small, a longer line is looked at


def check_gradients(
    loss: Callable[..., Any],
    params: Tree,
    *args: Any,
    tolerance: float = 1e-5,
    eps: float = 1e-5,
    max_coordinates_per_leaf: int | None = None,
    seed: int = 0,
) -> GradientReport:
    """Returns a comparison of the automatic gradient of `loss(params, *args)` with finite differences, for each leaf.

    Everything is computed in float64, within this call only; where the loss narrows to float32 or less, float64 takes
    its place and the report names the line. A coordinate that disagrees is looked at again with other step sizes: where
    the two one-sided differences stay apart and the automatic derivative lies between them, the loss has a kink (ReLU
    at zero), and where its values jump, a step (round, sign); both are counted and not failed. Small trees are compared
    coordinate by coordinate; of large ones a random choice of coordinates is compared, and random directions through
    each leaf as a whole.

    Each `custom_vjp` and `custom_jvp` on the way is checked by itself too, and a leaf that disagrees is told which of
    them, or which `stop_gradient`, is the cause. A rule that passes a gradient by a rounding (straight-through) leaves
    the leaves before it undecided. `detects` says how small an error could still be seen.

    Args:
      loss: any deterministic scalar function; it is called with the same keys each time.
      params: the tree to differentiate by. Leaves that hold no floating-point numbers are passed on as they are.
      args: further arguments (a batch, model state, a key); their floating-point leaves are given in float64 too.
      tolerance: allowed relative error of a derivative. The default leaves room for curvature at the default step; the
        mistakes that people make are larger than 1e-3.
      eps: step size, in the units of `params`; see `numerical_gradient`.
      max_coordinates_per_leaf: how many coordinates to compare one by one; None compares all of up to 20,000 (500
        with convolutions) and else draws about 2,000 (500), fewer of trees above a hundred thousand.
      seed: of the random choices.

    Raises:
      ValueError: if `loss` does not return one floating-point number, or `params` holds none.

    Example:
      >>> def loss(params, inputs):
      ...     return jnp.mean(jnp.tanh(inputs @ params["kernel"]) ** 2)
      >>> report = check_gradients(loss, {"kernel": jnp.array([[0.5], [-0.2]])}, jnp.ones((3, 2)))
      >>> report.passed, report.checked
      (True, 2)
    """
    return make_gradient_check(loss)(
        params, *args, tolerance=tolerance, eps=eps, max_coordinates_per_leaf=max_coordinates_per_leaf, seed=seed
    )


def make_gradient_check(loss: Callable[..., Any]) -> Callable[..., GradientReport]:
    """Returns `check_gradients` for one loss, whose programs are compiled once for each set of shapes.

    The first call takes seconds, the next ones milliseconds. As with `jax.jit`, what the loss reads from outside its
    arguments is what it was at the first call.

    Args:
      loss: see `check_gradients`, as for the arguments of what is returned.

    Example:
      >>> check = make_gradient_check(lambda params: jnp.sum(params**3))
      >>> check(jnp.arange(3.0)).passed, check(jnp.ones(3)).passed
      (True, True)
    """
    programs: dict[Any, tuple[GradientProgram, RuleCheck]] = {}

    def check(
        params: Tree,
        /,
        *args: Any,
        tolerance: float = 1e-5,
        eps: float = 1e-5,
        max_coordinates_per_leaf: int | None = None,
        seed: int = 0,
    ) -> GradientReport:
        for name, value in (("tolerance", tolerance), ("eps", eps)):
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value}.")
        if max_coordinates_per_leaf is not None and max_coordinates_per_leaf < 1:
            raise ValueError(f"max_coordinates_per_leaf must be at least 1, got {max_coordinates_per_leaf}.")
        with float64():
            call = call_of(params, args)
            if not any(np.size(call.leaves[place]) for place in call.places):
                raise ValueError("params must hold floating-point numbers to differentiate by, got none.")
            if call.key not in programs:
                programs[call.key] = make_program(loss, call), RuleCheck()
            program, check_rule = programs[call.key]
            report = _check(
                program, check_rule, call, np.random.default_rng(seed), max_coordinates_per_leaf, eps, tolerance
            )
            if program.impure is not None:
                del programs[call.key]
            return report

    return check


def assert_gradients(loss: Callable[..., Any], params: Tree, *args: Any, **settings: Any) -> GradientReport:
    """Returns the report of `check_gradients` if it passed.

    Args:
      loss: see `check_gradients`, as for all arguments.
      params: the tree to differentiate by.
      args: further arguments of the loss.
      settings: tolerance, step size and the like.

    Raises:
      AssertionError: with the whole report, if a gradient is wrong.

    Example:
      >>> assert_gradients(lambda p: jnp.sum(p**3), jnp.arange(3.0)).checked
      3
    """
    report = check_gradients(loss, params, *args, **settings)
    if not report.passed:
        raise AssertionError(f"the automatic gradient disagrees with finite differences.\n{report}")
    return report


def _check(
    program: GradientProgram,
    check_rule: RuleCheck,
    call: Call,
    generator: np.random.Generator,
    budget: int | None,
    eps: float,
    tolerance: float,
) -> GradientReport:
    at = program.function.at(call.leaves)
    report = GradientReport((), at.value, program.precision, program.casts, (), call.skipped)
    if program.impure is not None:
        return replace(report, findings=(not_deterministic((program.impure[0],), program.impure[1]),))
    if program.may_be_impure and not np.array_equal(at.evaluate([[]])[0], at.value, equal_nan=True):
        return replace(report, findings=(not_deterministic(program.callbacks),))
    value, grads = program.gradient(call.leaves)
    if not np.isfinite(value):
        return replace(report, loss=value, findings=(non_finite_loss(value),))
    reasons: dict[int, Cause] = {}
    checked = []
    if program.precision != "float64":
        leaves = _check_narrow(program, at, call.leaves, grads, generator)
    else:
        own = [each for each in program.own if each.kind != "stop_gradient"][:RULES]
        operands = dict(zip(program.own, program.operands(call.leaves), strict=True)) if own else {}
        checked = [(each, check_rule(each, operands[each], generator, eps=eps, tolerance=tolerance)) for each in own]
        noise = rounding(at, generator)
        judge = partial(judge_differences, noise=noise, eps=eps, tolerance=tolerance)
        lines, judgement = _judge(at, grads, generator, budget or _budget(at), judge, tolerance)
        if judgement.wrong.any() and program.own:
            reasons = causes(program, call.leaves, lines, judgement, checked, judge)
        leaves = [_leaf(at, leaf, *_of(leaf, lines, judgement), reasons.get(leaf)) for leaf in range(len(at.leaves))]
    findings = [
        finding
        for number, (leaf, each) in enumerate(zip(leaves, grads, strict=True))
        for finding in findings_on(leaf, each, program.precision, reasons.get(number))
    ]
    rules = tuple(rule for _, rule in checked)
    findings += findings_on_rules(rules, findings)
    return replace(report, leaves=tuple(leaves), loss=value, findings=tuple(findings), rules=rules)


def _resolution(precision: str) -> float:
    return float(jnp.finfo(precision).eps) if precision in NARROW_TOLERANCES else 1e-2


def _budget(at: Point) -> int:
    """Returns how many coordinates of a leaf are compared."""
    slow = has_primitive(at.function.program, "conv_general_dilated")
    full, sampled = (WITH_CONVOLUTIONS, WITH_CONVOLUTIONS) if slow else (FULL, SAMPLED)
    if at.size <= full:
        return at.size
    sampled = int(min(1.0, 5 * FULL / at.size) * sampled)  # a call takes longer the larger the tree
    return max(FEWEST, sampled // len(at.leaves))


def _judge(
    at: Point,
    grads: list[np.ndarray],
    generator: np.random.Generator,
    budget: int,
    judge: Callable[[Lines, np.ndarray], Judgement],
    tolerance: float,
) -> tuple[Lines, Judgement]:
    """Compares coordinates, directions through leaves that are too large for all of these, and longer lines through
    leaves whose gradient is so small that neither would show an error."""
    positions, directions = [np.zeros(0, int)], list[Shift]()
    for leaf, start in enumerate(at.function.starts[:-1]):
        size = grads[leaf].size
        if size <= budget:
            positions.append(np.arange(size) + start)
            continue
        positions.append(np.sort(generator.choice(size, budget, replace=False)) + start)
        directions += [(leaf, slice(None), generator.choice([-1.0, 1.0], size)) for _ in range(DIRECTIONS)]
    lines = Lines(at, np.concatenate(positions), tuple(directions))
    judgement = judge(lines, lines.slopes(grads))
    weak = [leaf for leaf in range(len(grads)) if _is_weak(judgement.of(lines.leaf == leaf), grads[leaf])]
    if not weak:
        return lines, judgement
    along: list[Shift] = [(leaf, slice(None), grads[leaf] / np.linalg.norm(grads[leaf])) for leaf in weak]
    slopes = np.array([np.linalg.norm(grads[leaf]) for leaf in weak])
    resolution = float(np.finfo(np.float64).eps)
    fits = judge_fits(at, along, slopes, np.zeros(len(weak)), resolution=resolution, tolerance=tolerance, smooth=True)
    together = Lines(at, lines.positions, (*lines.directions, *along))
    return together, judgement.joined(fits)


def _is_weak(judgement: Judgement, grads: np.ndarray) -> bool:
    norm = np.linalg.norm(grads)
    if judgement.wrong.any() or judgement.kink.any() or not (np.isfinite(norm) and norm > 0):
        return False
    detects = judgement.detects()
    return detects is None or detects > WEAK


def _check_narrow(
    program: GradientProgram,
    at: Point,
    leaves: Sequence[Any],
    grads: list[np.ndarray],
    generator: np.random.Generator,
) -> list[LeafGradient]:
    """Directions of length 1 through each leaf: along the gradient, where the slope is largest, and random ones."""
    precision = program.precision
    shaken = [program.gradient(_shaken(leaves, at.function.places, precision, generator))[1] for _ in range(2)]
    results = []
    for leaf, own in enumerate(grads):
        size = float(np.linalg.norm(own))
        directions = [generator.choice([-1.0, 1.0], own.size) / np.sqrt(own.size or 1) for _ in range(DIRECTIONS)]
        directions = [own / size, *directions] if np.isfinite(size) and size > 0 else directions
        slopes = np.array([own @ direction for direction in directions])
        others = np.array([[other[leaf] @ direction for direction in directions] for other in shaken])
        spread = np.sqrt(np.mean((others - slopes) ** 2, axis=0))
        lines: list[Shift] = [(leaf, slice(None), direction) for direction in directions]
        tolerance = NARROW_TOLERANCES.get(precision, 5e-2)
        judgement = judge_fits(at, lines, slopes, spread, resolution=_resolution(precision), tolerance=tolerance)
        results.append(_leaf(at, leaf, judgement, np.arange(0), None))
    return results


def _shaken(leaves: Sequence[Any], places: Sequence[int], precision: str, generator: np.random.Generator) -> list[Any]:
    """Returns parameters that differ from the given ones by about as much as the narrow type can tell apart."""
    moved = list(leaves)
    for place in places:
        leaf = np.asarray(leaves[place], np.float64)
        moved[place] = leaf * (1 + _resolution(precision) * generator.choice([-1.0, 1.0], leaf.shape))
    return moved


def _of(leaf: int, lines: Lines, judgement: Judgement) -> tuple[Judgement, np.ndarray]:
    """Returns what was judged of a leaf, and its coordinates that were compared."""
    chosen = lines.leaf == leaf
    positions = lines.positions[chosen[: len(lines.positions)]] - lines.at.function.starts[leaf]
    return judgement.of(chosen), positions


def _leaf(at: Point, leaf: int, judgement: Judgement, positions: np.ndarray, cause: Cause | None) -> LeafGradient:
    shape, lines = at.leaves[leaf].shape, len(judgement.wrong)
    difference = np.abs(judgement.numerical - judgement.automatic)
    counted = ~judgement.kink
    scale = max(np.linalg.norm(judgement.automatic[counted]), np.linalg.norm(judgement.numerical[counted]))
    error = np.linalg.norm(difference[counted]) / scale if scale else 0.0
    share = np.where(counted, difference / np.maximum(judgement.allowed, np.finfo(np.float64).tiny), -1.0)
    share = np.where(np.isnan(share), np.inf, share)
    worst = int(np.argmax(share)) if lines else None
    numbers = Worst(None, 0.0, 0.0)
    if worst is not None:
        where = index_of(positions[worst], shape) if worst < len(positions) else None
        numbers = Worst(where, float(judgement.automatic[worst]), float(judgement.numerical[worst]))
    wrong, kinks = int(judgement.wrong.sum()), int(judgement.kink.sum())
    detects, directions = judgement.detects(), lines - len(positions)
    blind = (kinks > 0 and kinks == lines) or (detects is None and bool(np.any(judgement.automatic)))
    is_meant = cause is not None and cause.is_meant
    status = "failed" if wrong and not is_meant else "undecided" if wrong or blind else "passed"
    path = at.function.paths[leaf]
    return LeafGradient(path, shape, status, len(positions), directions, kinks, wrong, float(error), numbers, detects)
