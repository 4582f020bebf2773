"""VX408 more: Optax names that went or go, and those that stay."""
import optax
import optax as ox
from optax import control_delta_method, adam  # expect: VX408
from optax import tree_utils as otu


def decayed():
    parts = [ox.scale_by_adam(), ox.additive_weight_decay(1e-2)]  # expect: VX408
    return ox.chain(*parts)


def norm(updates):
    return otu.tree_l2_norm(updates)  # expect: VX408


def scaled(updates):
    return optax.tree_utils.tree_scalar_mul(2.0, updates)  # expect: VX408


def private():
    return optax.differentially_private_aggregate(1.0, 1.0, 0)  # expect: VX408


def sometimes(inner):
    return optax.maybe_update(inner, lambda step: step > 3)  # expect: VX408


def current(updates):
    return (
        optax.global_norm(updates),
        otu.tree_norm(updates),
        optax.contrib.differentially_private_aggregate,
        optax.losses.softmax_cross_entropy,
        optax.transforms.freeze,
        optax.schedules.constant_schedule(0.1),
        optax.tree.add,
        control_delta_method,
        adam,
    )


def own(optax):
    return optax.hvp, optax.additive_weight_decay
