"""What Verax does around an Optax optimizer: which leaves decay, and probes of what the optimizer hides."""

from __future__ import annotations

import functools
import inspect
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool

from verax.trees import Tree, path_text

# 2**n - 1: the last step of every accumulation over a power of two, and moments along a warm-up.
PROBED_AFTER = (0, 1, 3, 7, 15, 31, 63, 255, 1023, 8191)

# Gradients, parameters, and the parameters that the optimizer's state began with: the last two rows are for optimizers
# that keep parameters in their state (schedule-free, lookahead), which must not be shown others.
CASES = np.array(
    [
        (np.nan, 0.5, 0.5), (np.inf, 0.5, 0.5), (0.0, 0.5, 0.5), (0.0, 0.0, 0.0), (0.25, 0.5, 0.5), (0.25, 0.0, 0.0),
        (0.0, 0.0, 0.5), (0.25, 0.0, 0.5),
    ],
    np.float32,
)  # fmt: skip

# States of optimizers whose step size does not depend on how many steps were taken.
WITHOUT_SCHEDULE = (
    "ClipState", "EmptyState", "MaskedState", "PartitionState", "ScaleByAdamState", "ScaleByLionState",
    "ScaleByRmsState", "TraceState",
)  # fmt: skip

NEVER_DECAYED = ("bias", "b", "scale", "offset", "gamma", "beta")


def decay_mask(params: Tree) -> Tree:
    """Returns a tree of bools: True for the weights that decay, False for biases and normalisation scales.

    A leaf decays if it has at least two axes and is not named like a bias or a scale. Give it to Optax as
    `optax.adamw(1e-3, mask=vx.decay_mask)`; `vx.train` leaves the others alone by default.

    Example:
      >>> decay_mask({"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)})
      {'bias': False, 'kernel': True}
    """

    def decays(path: tuple[Any, ...], leaf: Any) -> bool:
        return jnp.ndim(leaf) >= 2 and path_text(path[-1:]) not in NEVER_DECAYED

    return jax.tree.map_with_path(decays, params)


# Arguments of Optax's optimizers, schedules and clipping that are numbers.
NUMBERS = (
    "alpha", "b1", "b2", "b3", "decay", "decay_rate", "delta", "eps", "eps_root", "init_value", "learning_rate",
    "max_delta", "max_norm", "momentum", "nesterov_momentum", "peak_value", "step_size", "threshold", "weight_decay",
)  # fmt: skip


def texts_for_numbers(optimizer: optax.GradientTransformation) -> tuple[str, ...]:
    """Returns the names of an optimizer's numbers that were given as text; found in what its functions hold.

    Optax calls a learning rate `step_size` once its sign is turned: `-1 * "0.1"`, which is an empty text.

    Example:
      >>> texts_for_numbers(optax.chain(optax.clip_by_global_norm(1.0), optax.adamw("0.1")))
      ('step_size',)
    """
    found: set[str] = set()
    seen: set[int] = set()
    waiting: list[Any] = list(optimizer)
    while waiting:
        held = waiting.pop()
        if id(held) in seen:
            continue
        seen.add(id(held))
        if isinstance(held, functools.partial):
            waiting += [held.func, *held.args, *held.keywords.values()]
        elif isinstance(held, tuple | list):
            waiting += held
        elif isinstance(held, dict):
            waiting += held.values()
        elif inspect.isfunction(held):
            cells = zip(held.__code__.co_freevars, held.__closure__ or (), strict=True)
            values = {name: _content(cell) for name, cell in cells}
            found |= {name for name, value in values.items() if name in NUMBERS and isinstance(value, str)}
            waiting += values.values()
    return tuple(sorted(found))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


class OptimizerFacts(NamedTuple):
    """What a probe of an optimizer found.

    Attributes:
      hides_nonfinite: a NaN or Inf in the gradients leaves no trace in the updates.
      decays_all: with zero gradients, leaves that should not decay are moved.
      decay_is_additive: the parameters enter the update only as a decay term, so it can be left out leaf by leaf.
    """

    hides_nonfinite: Bool[Array, ""]
    decays_all: Bool[Array, ""]
    decay_is_additive: Bool[Array, ""]


def probe_optimizer(optimizer: optax.GradientTransformation, params: Tree) -> OptimizerFacts:
    """Returns what an optimizer does with bad gradients and with parameters, measured on a tiny tree of the same paths.

    Schedules may begin at zero and accumulation may pass on only every k-th update, so the probe is repeated with the
    optimizer's counters moved on. Traceable; costs microseconds, because every axis is shortened to length 1.

    Example:
      >>> facts = probe_optimizer(optax.adamw(1e-3), {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)})
      >>> bool(facts.hides_nonfinite), bool(facts.decays_all), bool(facts.decay_is_additive)
      (False, True, True)
    """
    if not jax.tree.leaves(params):
        return OptimizerFacts(jnp.array(False), jnp.array(False), jnp.array(True))
    inner, loss = with_standard_promotion(optimizer), jnp.asarray(1.0)
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct([min(1, size) for size in leaf.shape], leaf.dtype), params)

    def updates(gradient: Any, value: Any, begun_at: Any, steps: Any) -> Tree:
        def full(number: Any) -> Tree:
            return jax.tree.map(lambda leaf: jnp.full_like(leaf, number), shapes)

        grads, state = full(gradient), moved_on(inner.init(full(begun_at)), steps)
        return inner.update(grads, state, full(value), value=loss, grad=grads, value_fn=lambda _: loss)[0]

    # One trace of the optimizer for all cases. The axes of a result are: case, steps, the leaf's own.
    each = jax.vmap(jax.vmap(updates, (None, None, None, 0)), (0, 0, 0, None))(
        CASES[:, 0], CASES[:, 1], CASES[:, 2], jnp.array(PROBED_AFTER)
    )
    leaves = jax.tree.leaves(each)
    flat = jnp.concatenate([leaf.reshape((*leaf.shape[:2], -1)).astype(jnp.float32) for leaf in leaves], axis=-1)
    sizes = [int(np.prod(leaf.shape[2:])) for leaf in leaves]
    decays = np.repeat(jax.tree.leaves(decay_mask(shapes)), sizes)
    eps = 16 * max(float(jnp.finfo(leaf.dtype).eps) for leaf in leaves)
    at_nan, at_inf, rest, rest_zero, driven, driven_zero, rest_shown, driven_shown = tuple(flat)
    hidden = [jnp.isfinite(bad).all(axis=-1).any() for bad in (at_nan, at_inf)]
    decay = rest - rest_zero
    moved = abs(decay) > eps * jnp.minimum(abs(rest), abs(rest_zero))
    tolerance = 1e-3 * abs(decay) + eps * (abs(driven) + abs(driven_zero))
    alike = [driven - driven_zero - decay, rest_shown - rest_zero, driven_shown - driven_zero]
    additive = (abs(jnp.stack(alike)) <= tolerance[None]).all()
    return OptimizerFacts(jnp.stack(hidden).any(), moved[:, ~decays].any(), additive)


def keeps_its_rate(state: Tree) -> bool:
    """Returns whether an optimizer is known to have no schedule, by the kinds of state that it keeps.

    Example:
      >>> import optax
      >>> params = {"kernel": jnp.ones((2, 2))}
      >>> rates = (1e-3, optax.cosine_decay_schedule(1e-3, 100))
      >>> [keeps_its_rate(optax.adam(rate).init(params)) for rate in rates]
      [True, False]
    """
    if isinstance(state, dict):
        return all(keeps_its_rate(each) for each in state.values())
    if not isinstance(state, tuple):
        return True
    if hasattr(state, "_fields") and type(state).__name__ not in WITHOUT_SCHEDULE:
        return False
    return all(keeps_its_rate(each) for each in state)


def moved_on(state: Tree, steps: Any) -> Tree:
    """Returns an optimizer's state with its counters moved on."""

    def moved(leaf: Any) -> Any:
        counts = jnp.ndim(leaf) == 0 and jnp.issubdtype(jnp.result_type(leaf), jnp.signedinteger)
        return leaf + steps.astype(jnp.result_type(leaf)) if counts else leaf

    return jax.tree.map(moved, state)


def with_standard_promotion(optimizer: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Returns the optimizer, traced under JAX's standard dtype promotion, which Optax is written for.

    Whoever sets `jax_numpy_dtype_promotion` to `strict` for their own code can then still train with Adam.
    """
    inner = optax.with_extra_args_support(optimizer)

    def init(params: Tree) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            return inner.init(params)

    def update(updates: Tree, state: Any, params: Tree = None, **extra: Any) -> tuple[Tree, Any]:
        with jax.numpy_dtype_promotion("standard"):
            return inner.update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(init, update)


def decay_weights_only(optimizer: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Returns the optimizer with its weight decay kept from biases and normalisation scales.

    The optimizer is shown zeros in place of those leaves, so its decay term vanishes there and nothing else changes:
    right for optimizers in which parameters enter by decay alone (`OptimizerFacts.decay_is_additive`).
    """
    inner = optax.with_extra_args_support(optimizer)

    def update(updates: Tree, state: Any, params: Tree = None, **extra: Any) -> tuple[Tree, Any]:
        if params is None:
            return inner.update(updates, state, params, **extra)
        shown = jax.tree.map(lambda leaf, decays: leaf if decays else jnp.zeros_like(leaf), params, decay_mask(params))
        return inner.update(updates, state, shown, **extra)

    return optax.GradientTransformationExtraArgs(inner.init, update)
