"""Programs whose optimizer, schedule or length is at fault, or whose network learns by heart."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from calibration import _sets as sets
from calibration._faulty import faulty
from calibration._healthy import binary, classification, regression
from calibration._networks import Perceptron, haiku_perceptron, perceptron_pair


@faulty("over-clipping", part="optimizer")
def clipped_to_nothing():
    optimizer = optax.chain(optax.clip_by_global_norm(1e-4), optax.sgd(0.1))
    return classification("linen", Perceptron((64,), 10), optimizer, sets.digits(60))


@faulty("lr-decayed-early", part="optimizer")
def cooled_in_the_first_epoch():
    schedule = optax.cosine_decay_schedule(1e-3, 20)
    return classification("linen", Perceptron((64,), 10), optax.adam(schedule), sets.digits(61), epochs=20)


@faulty("momentum-too-high", "learning-rate-too-high", part="optimizer")
def memory_of_a_thousand_steps():
    return regression("linen", Perceptron((32,)), optax.sgd(0.05, momentum=0.999), sets.waves(seed=62))


@faulty("adam-epsilon-too-large", part="optimizer")
def epsilon_of_ten():
    return classification("linen", Perceptron((64,), 10), optax.adam(1e-3, eps=10.0), sets.digits(63))


@faulty("learning-rate-too-high", part="optimizer")
def sgd_of_five():
    return regression("haiku", haiku_perceptron([32, 32, 1]), optax.sgd(1.0), sets.waves(seed=64))


@faulty("learning-rate-too-low", part="optimizer")
def adam_of_a_millionth():
    return binary("linen", Perceptron((32,)), optax.adam(1e-6), sets.moons(seed=65))


@faulty("excessive-weight-decay", part="optimizer loss")
def penalty_of_all_weights():
    optimizer = optax.chain(optax.add_decayed_weights(1.0), optax.sgd(0.05))
    return classification("linen", Perceptron((64,), 10), optimizer, sets.digits(66))


@faulty("insufficient-training", part="schedule")
def one_epoch():
    return classification("linen", Perceptron((64,), 10), optax.adam(5e-4), sets.digits(67), epochs=1)


@faulty("update-sign-error", part="optimizer")
def uphill_sgd():
    return regression("linen", Perceptron((32,)), optax.sgd(-0.01), sets.waves(seed=68))


@faulty("overfitting", "overtraining", part="model schedule data")
def noise_by_heart():
    (x, y), test = sets.waves(rows=1000, noise=2.0, seed=69)
    return regression(
        "linen", Perceptron((256, 256)), optax.adam(1e-3), ((x[:80], y[:80]), test), batch_size=16, epochs=150
    )


@faulty("dying-relu", "learning-rate-too-high", part="model optimizer")
def negative_biases():
    network = Perceptron((48, 48), 10, bias_init=nn.initializers.constant(-2.0))
    return classification("linen", network, optax.sgd(0.1), sets.digits(70))


@faulty("saturated-activation", part="model data")
def tanh_of_large_weights():
    network = Perceptron((64, 64), 10, nn.tanh, kernel_init=nn.initializers.normal(8.0))
    return classification("linen", network, optax.adam(1e-3), sets.digits(71))


@faulty("class-imbalance", part="loss batches data")
def three_in_a_hundred():
    rng = np.random.default_rng(72)
    y = (rng.random(3000) < 0.04).astype(np.int32)
    x = (rng.normal(size=(3000, 8)) + 0.9 * y[:, None] * (np.arange(8) < 3)).astype(np.float32)
    return binary("linen", Perceptron((16,)), optax.adam(2e-3), sets.split(x, y, share=0.6, seed=1))


@faulty("parameter-without-gradient", part="model")
def branch_that_is_never_used():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            wide = nn.relu(nn.Dense(256, name="features")(x))
            return nn.Dense(10)(jax.lax.stop_gradient(wide)[:, :8])

    return classification("linen", Net(), optax.adam(3e-3), sets.digits(73))


@faulty("captured-constant", part="model data")
def table_in_the_program():
    table = np.random.default_rng(0).normal(size=(2000, 2000)).astype(np.float32)

    def apply(params, x, train=False, key=None):
        anchor = (jnp.asarray(table)[:64, :64] @ jnp.asarray(table)[:64, :64]) * 1e-4 + jnp.asarray(table).mean() * 0
        return jax.nn.relu((x + x @ anchor) @ params[0]["kernel"]) @ params[1]["kernel"]

    return classification("pair", (perceptron_pair(32, 10)[0], apply), optax.adam(2e-3), sets.digits(74))
