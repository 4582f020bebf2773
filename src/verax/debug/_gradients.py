"""The gradient check: automatic differentiation against finite differences, leaf by leaf, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verax.debug._differences import Point, Shift, float64, point, trace, widened
from verax.debug._gradient_report import GradientReport, LeafGradient, Worst
from verax.debug._judge import Judgement, index_of, judge_differences, judge_fits, rounding
from verax.findings import Finding, Leaf
from verax.jaxpr import Cast, has_primitive, narrowing_equations, same_program
from verax.trees import Tree, is_floating

FULL = 20_000  # coordinates that are all compared: some seconds for a small dense network
SAMPLED = 2_000  # coordinates that are drawn in larger trees, shared among the leaves
WITH_CONVOLUTIONS = 500  # the same two limits where a call takes milliseconds
DIRECTIONS = 3  # random directions through each leaf that is sampled
NARROW_TOLERANCES = {"bfloat16": 5e-2, "float16": 1e-2, "float32": 1e-3}  # coarsest first


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

    Everything is computed in float64, within this call only. A coordinate that disagrees is looked at again with other
    step sizes: where the two one-sided differences stay apart and the automatic derivative lies between them, the loss
    has a kink (ReLU at zero), which is counted and not failed. Small trees are compared coordinate by coordinate; of
    large ones a random choice of coordinates is compared, and random directions through each leaf as a whole.

    If the loss itself narrows to float32 or less, differences are fitted over longer lines through each leaf, the
    report names the places, and `detects` says how small an error could still be seen.

    Args:
      loss: any deterministic scalar function. Fix its random keys; switch dropout off or keep the key constant.
      params: the tree to differentiate by. Leaves that hold no floating-point numbers are passed on as they are.
      args: further arguments (a batch, model state, a key); their floating-point leaves are given in float64 too.
      tolerance: allowed relative error of a derivative. The default leaves room for curvature at the default step; the
        mistakes that people make are larger than 1e-3.
      eps: step size, in the units of `params`; see `numerical_gradient`.
      max_coordinates_per_leaf: how many coordinates to compare one by one; None compares all of up to 20,000 (500
        with convolutions) and else draws about 2,000 (500).
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
    for name, value in (("tolerance", tolerance), ("eps", eps)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}.")
    if max_coordinates_per_leaf is not None and max_coordinates_per_leaf < 1:
        raise ValueError(f"max_coordinates_per_leaf must be at least 1, got {max_coordinates_per_leaf}.")
    with float64():
        at = point(loss, params, *args)
        if not at.size:
            raise ValueError("params must hold floating-point numbers to differentiate by, got none.")
        wide, wide_args = widened(params), widened(args)
        here, again = at.evaluate([[]]), at.evaluate([[]])
        same = np.array_equal(here, again, equal_nan=True)
        if not (same and same_program(at.program, trace(loss, wide, *wide_args))):
            return GradientReport((), float(here[0]), "float64", (), (_NOT_DETERMINISTIC,))
        automatic = _make_automatic(loss, wide, wide_args)
        value, gradient = automatic(wide)
        if not np.isfinite(value):
            return GradientReport((), value, "float64", (), (_non_finite_loss(value),))
        casts = narrowing_equations(at.program)
        generator = np.random.default_rng(seed)
        precision = _narrowest(casts)
        if casts:
            shaken = [automatic(_shaken(wide, precision, generator))[1] for _ in range(2)]
            leaves = _check_narrow(at, gradient, shaken, generator, precision)
        else:
            budget = max_coordinates_per_leaf or _budget(at)
            leaves = _check_wide(at, gradient, generator, budget, eps, tolerance)
    findings = [
        finding for leaf, grads in zip(leaves, gradient, strict=True) for finding in _findings(leaf, grads, casts)
    ]
    return GradientReport(tuple(leaves), value, precision, casts, tuple(findings))


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


_NOT_DETERMINISTIC = Finding(
    "unseeded-randomness",
    "error",
    "the loss gives two answers for the same arguments, so no gradient can be checked.",
    "Draw random numbers with jax.random from a key that is passed in, and keep no state outside.",
)


def _non_finite_loss(value: float) -> Finding:
    return Finding(
        "non-finite-loss", "error", f"the loss is {value} in float64.", "Check the inputs and the parameters first."
    )


def _make_automatic(
    loss: Callable[..., Any], params: Tree, args: tuple[Any, ...]
) -> Callable[[Tree], tuple[float, list[np.ndarray]]]:
    """Returns a compiled function from parameters to the loss and its gradient for each floating-point leaf, flat."""
    leaves, structure = jax.tree.flatten(params)
    moving = [index for index, leaf in enumerate(leaves) if is_floating(leaf)]

    def of_moving(moved: list[Any], args: tuple[Any, ...]) -> Any:
        whole = list(leaves)
        for index, leaf in zip(moving, moved, strict=True):
            whole[index] = leaf
        return jax.tree.leaves(loss(jax.tree.unflatten(structure, whole), *args))[0]

    compiled = jax.jit(jax.value_and_grad(of_moving))

    def automatic(params: Tree) -> tuple[float, list[np.ndarray]]:
        given = jax.tree.leaves(params)
        value, gradient = compiled([given[index] for index in moving], args)
        return float(value), [np.asarray(leaf, np.float64).reshape(-1) for leaf in gradient]

    return automatic


def _narrowest(casts: tuple[Cast, ...]) -> str:
    narrow = {cast.narrow for cast in casts}
    return next((name for name in NARROW_TOLERANCES if name in narrow), sorted(narrow)[0]) if narrow else "float64"


def _resolution(precision: str) -> float:
    return float(jnp.finfo(precision).eps) if precision in NARROW_TOLERANCES else 1e-2


def _budget(at: Point) -> int:
    """Returns how many coordinates of a leaf are compared."""
    slow = has_primitive(at.program, "conv_general_dilated")
    full, sampled = (WITH_CONVOLUTIONS, WITH_CONVOLUTIONS) if slow else (FULL, SAMPLED)
    return at.size if at.size <= full else max(8, sampled // len(at.leaves))


def _check_wide(
    at: Point, gradient: list[np.ndarray], generator: np.random.Generator, budget: int, eps: float, tolerance: float
) -> list[LeafGradient]:
    noise = rounding(at, generator)
    results = []
    for leaf, grads in enumerate(gradient):
        positions = np.arange(grads.size)
        directions: list[Shift] = []
        if grads.size > budget:
            positions = np.sort(generator.choice(grads.size, budget, replace=False))
            directions = [(leaf, slice(None), generator.choice([-1.0, 1.0], grads.size)) for _ in range(DIRECTIONS)]
        lines: list[Shift] = [(leaf, position, 1.0) for position in positions] + directions
        slopes = np.concatenate([grads[positions], [grads @ direction for _, _, direction in directions]])
        judgement = judge_differences(at, lines, slopes, noise, eps=eps, tolerance=tolerance)
        results.append(_leaf(at, leaf, judgement, positions))
    return results


def _check_narrow(
    at: Point,
    gradient: list[np.ndarray],
    shaken: list[list[np.ndarray]],
    generator: np.random.Generator,
    precision: str,
) -> list[LeafGradient]:
    """Directions of length 1 through each leaf: along the gradient, where the slope is largest, and random ones."""
    results = []
    for leaf, grads in enumerate(gradient):
        size = float(np.linalg.norm(grads))
        directions = [generator.choice([-1.0, 1.0], grads.size) / np.sqrt(grads.size or 1) for _ in range(DIRECTIONS)]
        directions = [grads / size, *directions] if np.isfinite(size) and size > 0 else directions
        slopes = np.array([grads @ direction for direction in directions])
        others = np.array([[other[leaf] @ direction for direction in directions] for other in shaken])
        spread = np.sqrt(np.mean((others - slopes) ** 2, axis=0))
        lines: list[Shift] = [(leaf, slice(None), direction) for direction in directions]
        tolerance = NARROW_TOLERANCES.get(precision, 5e-2)
        judgement = judge_fits(at, lines, slopes, spread, resolution=_resolution(precision), tolerance=tolerance)
        results.append(_leaf(at, leaf, judgement, np.arange(0)))
    return results


def _shaken(params: Tree, precision: str, generator: np.random.Generator) -> Tree:
    """Returns parameters that differ from the given ones by about as much as the narrow type can tell apart."""

    def shaken(leaf: Any) -> Any:
        return leaf * (1 + _resolution(precision) * generator.choice([-1.0, 1.0], np.shape(leaf)))

    return jax.tree.map(lambda leaf: shaken(leaf) if is_floating(leaf) else leaf, params)


def _leaf(at: Point, leaf: int, judgement: Judgement, positions: np.ndarray) -> LeafGradient:
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
    status = "failed" if wrong else "undecided" if blind else "passed"
    return LeafGradient(
        at.paths[leaf], shape, status, len(positions), directions, kinks, wrong, float(error), numbers, detects
    )


def _findings(leaf: LeafGradient, grads: np.ndarray, casts: tuple[Cast, ...]) -> list[Finding]:
    where = Leaf(leaf.path or "params")
    if not np.isfinite(grads).all():
        bad = int(np.count_nonzero(~np.isfinite(grads)))
        advice = "Look for log or division at zero, sqrt at zero, or a jnp.where whose unused branch is not finite."
        return [
            Finding(
                "non-finite-gradient", "error", f"{bad} of {grads.size} derivatives are NaN or infinite.", advice, where
            )
        ]
    if leaf.status == "undecided" and leaf.kinks:
        message = f"all {leaf.kinks} derivatives that were compared lie on kinks of the loss, so none could be judged."
        return [
            Finding(
                "gradient-undecided", "warning", message, "Check at other parameters, moved by a little noise.", where
            )
        ]
    if leaf.status == "undecided":
        message = (
            f"the loss is computed in {_narrowest(casts)}, too coarse for differences to show a gradient of this size."
        )
        return [
            Finding(
                "gradient-undecided", "warning", message, "Check the same network with dtype=float32 or None.", where
            )
        ]
    if leaf.status == "passed":
        return []
    worst = leaf.worst
    place = " along a direction through the leaf" if worst.where is None else f" at {list(worst.where)}"
    share = f"{leaf.wrong} of {leaf.coordinates + leaf.directions} disagree."
    numbers = f"automatic {worst.automatic:.6g}, numerical {worst.numerical:.6g}{place}; {share}"
    if not grads.any():
        message = f"the automatic gradient is zero but the loss changes: {numbers}"
        advice = "Look for stop_gradient, a cast to integers, argmax or rounding between this leaf and the loss."
        return [Finding("parameter-without-gradient", "error", message, advice, where)]
    ratio = worst.automatic / worst.numerical if worst.numerical else np.inf
    message = f"the sign is wrong: {numbers}" if abs(ratio + 1) < 1e-3 else numbers
    advice = "Look for a custom_vjp, custom_jvp or stop_gradient that this leaf goes through."
    return [Finding("wrong-custom-gradient", "error", message, advice, where)]
