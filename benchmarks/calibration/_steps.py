"""Optimizers and schedules that look wrong and are right for their run."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import nnx

from calibration import _sets as sets
from calibration._healthy import classification, healthy
from calibration._networks import EquinoxPerceptron, NnxPerceptron, Perceptron, haiku_perceptron, perceptron_pair

STEPS = 21 * 12  # of twelve epochs of the digits at batch 64


def digits_with(optimizer, seed, network=None, library="linen", **more):
    network = network or Perceptron((64, 64), 10)
    return classification(library, network, optimizer, sets.digits(seed), seed=100 + seed, **more)


@healthy("warmup-too-long", "learning-rate-too-low", acc=0.94)
def long_warm_up():
    """Three steps in ten are a warm-up, and the rest is enough."""
    return digits_with(optax.adamw(optax.warmup_cosine_decay_schedule(0.0, 6e-3, STEPS * 3 // 10, STEPS)), 1)


@healthy("lr-decayed-early", "learning-rate-too-high", acc=0.94)
def one_cycle():
    """Smith and Topin (2018): a large rate in the middle, next to nothing at the end."""
    schedule = optax.cosine_onecycle_schedule(STEPS, 0.3, pct_start=0.3)
    return digits_with(optax.sgd(schedule, momentum=0.9), 2, NnxPerceptron((64, 96, 10), seed=102), "nnx")


@healthy("lr-decayed-early", "learning-rate-too-low", acc=0.94)
def exponential_decay():
    return digits_with(optax.adam(optax.exponential_decay(8e-3, 21, 0.8)), 3, haiku_perceptron([96, 10]), "haiku")


@healthy("lr-decayed-early", "loss-not-decreasing", acc=0.94)
def steps_down():
    """A tenth of the rate after two thirds, a hundredth near the end."""
    schedule = optax.piecewise_constant_schedule(0.1, {STEPS * 2 // 3: 0.1, STEPS * 9 // 10: 0.1})
    return digits_with(optax.sgd(schedule, momentum=0.9), 4, perceptron_pair(64, 10), "pair")


@healthy("over-clipping", "learning-rate-too-low", acc=0.94)
def always_clipped_adam():
    """Every gradient is clipped to a tenth of its size; Adam divides the scale out."""
    return digits_with(optax.chain(optax.clip_by_global_norm(0.1), optax.adam(3e-3)), 5)


@healthy("over-clipping", "exploding-gradient", acc=0.94)
def rarely_clipped():
    return digits_with(
        optax.chain(optax.clip_by_global_norm(2.0), optax.sgd(0.1, momentum=0.9)),
        6,
        EquinoxPerceptron(64, 10, 64, 1, seed=106),
        "equinox",
    )


@healthy("unintended-freeze", "loss-not-decreasing", "insufficient-training", acc=0.94)
def accumulated_gradients():
    """Three steps in four change nothing: four gradients make an update."""
    return digits_with(optax.MultiSteps(optax.adam(5e-3), 4).gradient_transformation(), 7, epochs=8, batch_size=16)


@healthy("decay-on-norm-and-bias", "unintended-freeze", acc=0.94)
def masked_decay():
    """Decay of kernels alone."""

    def kernels(params):
        return jax.tree.map(lambda leaf: leaf.ndim > 1, params)

    return digits_with(optax.adamw(3e-3, weight_decay=0.05, mask=kernels), 8)


@healthy("unintended-freeze", "learning-rate-too-low", acc=0.94)
def rates_by_layer():
    """The first layer at a tenth of the head's rate."""

    def names(params):
        return {name: "head" if name == "head" else "body" for name in params}

    return digits_with(optax.multi_transform({"head": optax.adam(1e-2), "body": optax.adam(1e-3)}, names), 9)


class Backbone(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(768, name="backbone")(x))
        return nn.Dense(10, name="head")(x)


@healthy("unintended-freeze", "parameter-without-gradient", acc=0.92)
def frozen_backbone():
    """Random features under a trained head, frozen as a whole."""

    def names(params):
        return {name: "trained" if name == "head" else "frozen" for name in params}

    optimizer = optax.multi_transform({"trained": optax.adam(3e-3), "frozen": optax.set_to_zero()}, names)
    return digits_with(optimizer, 10, Backbone(), epochs=20)


@healthy("excessive-weight-decay", "underfitting", acc=0.94)
def strong_decay_that_fits():
    """AdamW at 0.1: the rate times the decay is what acts."""
    return digits_with(optax.adamw(2e-3, weight_decay=0.1), 11)


@healthy("learning-rate-too-low", "learning-rate-too-high", acc=0.94)
def signs_only():
    """Lion: steps of one size, at a rate that is small for others."""
    return digits_with(optax.lion(5e-4, weight_decay=0.01), 12)


@healthy("learning-rate-too-high", "adam-epsilon-too-large", acc=0.93)
def adafactor():
    return digits_with(optax.adafactor(2e-2), 13, epochs=15)


@healthy("learning-rate-too-high", "momentum-too-high", acc=0.93)
def lamb():
    """Steps in proportion to the weights: 0.02 is moderate."""
    return digits_with(
        optax.lamb(optax.cosine_decay_schedule(2e-2, STEPS)), 14, NnxPerceptron((64, 64, 10), nnx.relu, seed=114), "nnx"
    )


@healthy("learning-rate-too-high", "loss-oscillation", acc=0.93)
def rms_prop():
    return digits_with(
        optax.rmsprop(optax.linear_schedule(2e-3, 1e-4, STEPS), decay=0.95),
        15,
        haiku_perceptron([64, 64, 10], jax.nn.leaky_relu),
        "haiku",
    )


@healthy("momentum-too-high", "adam-epsilon-too-large", acc=0.93)
def slow_adam():
    """Momentum of 0.95 and an epsilon of 1e-5, as for policies."""
    return digits_with(optax.adam(2e-3, b1=0.95, eps=1e-5), 16, perceptron_pair(64, 10), "pair", epochs=10)


@healthy("unseeded-randomness", "nondeterministic-eval", "loss-oscillation", acc=0.93)
def noisy_gradients():
    """Neelakantan et al. (2015): noise added to gradients, seeded."""
    return digits_with(
        optax.chain(
            optax.add_noise(0.01, 0.55, jax.random.key(7)),
            optax.sgd(optax.cosine_decay_schedule(0.05, STEPS), momentum=0.9),
        ),
        17,
    )


@healthy("recompilation", "unintended-freeze", "update-sign-error", acc=0.94)
def rate_as_state():
    """Hyperparameters in the optimizer's state, with steps that are skipped if not finite."""
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=optax.linear_schedule(5e-3, 1e-4, STEPS))
    return digits_with(optax.apply_if_finite(optimizer, 5), 18, EquinoxPerceptron(64, 10, 64, 2, seed=118), "equinox")


@healthy("update-sign-error", acc=0.93)
def own_rule():
    """An update rule by hand: centred gradients with momentum, and a minus where it belongs."""

    def init(params):
        return jax.tree.map(jnp.zeros_like, params)

    def update(grads, trace, params=None):
        trace = jax.tree.map(lambda t, g: 0.9 * t + (g - g.mean(0) if g.ndim > 1 else g), trace, grads)
        return jax.tree.map(lambda t: -0.05 * t, trace), trace

    return digits_with(optax.GradientTransformation(init, update), 19)
