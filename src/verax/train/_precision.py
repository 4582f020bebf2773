"""Precision policies by name: which numbers the matrix products of a training step are computed from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from verax.findings import InputError
from verax.jaxpr import float32_products, narrowing_equations, with_narrow_products
from verax.network import Network, Variables
from verax.trees import Tree, all_finite, leaves_by_path

Precision = Literal["float32", "bfloat16", "float16"]
LOSS_SCALE = "loss_scale"  # its place in TrainState.extras
GROWTH_INTERVAL = 2000  # finite steps before the scale doubles
FIRST_SCALE, LARGEST_SCALE = 2.0**15, 2.0**24


def with_precision(network: Network, precision: Precision) -> Network:
    """Returns the network with its matrix products and convolutions computed in a narrower type.

    Parameters, losses, norms, softmax, sums and the optimizer's state stay float32.

    Args:
      network: of float32 parameters.
      precision: `float32` leaves the network as it is.

    Example:
      >>> network = vx.as_network((lambda key, x: jnp.ones((1, 1)), lambda params, x: x @ params))
      >>> half = with_precision(network, "bfloat16")
      >>> half.apply(half.init(None, None), jnp.full((1, 1), 1.001))[0].tolist()
      [[1.0]]
    """
    if precision == "float32":
        return network

    def apply(variables: Variables, inputs: Tree, key: Any, training: bool) -> tuple[Tree, Tree]:
        def forward(variables: Variables, inputs: Tree, key: Any) -> tuple[Tree, Tree]:
            return network.apply_fn(variables, inputs, key, training)

        return with_narrow_products(forward, jnp.dtype(precision))(variables, inputs, key)

    return replace(network, apply_fn=apply)


def check_precision(network: Network, precision: Precision, shapes: Variables, inputs: Tree, key: Any) -> None:
    """Raises an InputError where a policy would do nothing, or fight with the network's own casts."""
    if precision == "float32":
        return
    for path, leaf in leaves_by_path(shapes.params).items():
        if leaf.dtype != jnp.float32:
            raise InputError(
                f"precision={precision!r} needs float32 parameters, but {path} is {leaf.dtype}. Leave out its "
                "param_dtype: the policy narrows the products alone."
            )
    program = jax.make_jaxpr(lambda variables, inputs, key: network.apply(variables, inputs, key=key)[0])(
        shapes, inputs, key
    )
    casts = narrowing_equations(program)
    if casts:
        raise InputError(
            f"precision={precision!r} cannot be used, because the network narrows numbers by itself: {casts[0]}. Leave "
            "out its dtype argument, or train with precision='float32'."
        )
    if not float32_products(program):
        raise InputError(
            f"precision={precision!r} would change nothing: the network has no matrix product and no convolution of "
            "float32 numbers."
        )


class LossScale(NamedTuple):
    """What the loss is multiplied by, so that small gradients of float16 do not vanish.

    Attributes:
      scale: the factor, float32 scalar.
      finite_steps: steps since it last changed, int32 scalar.
      skipped: steps whose gradients were not finite and that were left out, int32 scalar.
    """

    scale: Any
    finite_steps: Any
    skipped: Any


def first_loss_scale() -> LossScale:
    """Returns the scale before the first step."""
    return LossScale(jnp.float32(FIRST_SCALE), jnp.int32(0), jnp.int32(0))


def next_loss_scale(scale: LossScale, skipped: Any) -> LossScale:
    """Returns the scale after a step: halved where the step was left out, doubled after many that were not.

    References:
      Micikevicius et al. (2018), "Mixed Precision Training", section 3.2.
    """
    grown = ~skipped & (scale.finite_steps + 1 >= GROWTH_INTERVAL)
    factor = jnp.where(skipped, 0.5, jnp.where(grown, 2.0, 1.0)).astype(jnp.float32)
    steps = jnp.where(skipped | grown, 0, scale.finite_steps + 1).astype(jnp.int32)
    return LossScale(
        jnp.clip(scale.scale * factor, 1.0, LARGEST_SCALE), steps, scale.skipped + skipped.astype(jnp.int32)
    )


def unscaled(grads: Tree, scale: LossScale) -> tuple[Tree, Any]:
    """Returns the gradients of the loss itself, and whether they are all finite."""
    grads = jax.tree.map(lambda leaf: leaf / scale.scale.astype(leaf.dtype), grads)
    return grads, all_finite(grads)
