"""Unusual on purpose: cut gradients, own derivatives, half precision, shared weights, tables of pairs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import nnx

from calibration import _losses as losses
from calibration import _sets as sets
from calibration._healthy import binary, classification, custom, healthy
from calibration._networks import affine, dense


class Half(nn.Module):
    """Layers in bfloat16, weights and the loss in float32."""

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.relu(nn.Dense(64, dtype=jnp.bfloat16)(x))
        return nn.Dense(10, dtype=jnp.bfloat16)(x).astype(jnp.float32)


@healthy("dtype-promotion", "low-precision-overflow", "low-precision-accumulation", acc=0.93)
def half_precision_layers():
    return classification("linen", Half(), optax.adam(2e-3), sets.digits(31), seed=131)


@jax.custom_vjp
def own_softplus(x):
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


own_softplus.defvjp(lambda x: (own_softplus(x), x), lambda x, g: (g * jax.nn.sigmoid(x),))


def with_activation(activation, width=48, outputs=10):
    def init(key, x):
        keys = jax.random.split(key, 3)
        return [dense(keys[0], x.shape[-1], width, 1.4), dense(keys[1], width, width), dense(keys[2], width, outputs)]

    def apply(params, x, train=False, key=None):
        return affine(params[2], activation(affine(params[1], activation(affine(params[0], x)))))

    return init, apply


@healthy("wrong-custom-gradient", "exp-overflow", acc=0.93)
def own_derivative():
    """A derivative by hand that is right."""
    return classification("pair", with_activation(own_softplus), optax.adam(3e-3), sets.digits(32), seed=132)


def straight_through(x):
    """One bit forwards, the identity within one backwards (Bengio et al. 2013)."""
    smooth = jnp.clip(x, -1, 1)
    return smooth + jax.lax.stop_gradient(jnp.sign(x) - smooth)


@healthy(
    "non-differentiable-loss", "wrong-custom-gradient", "parameter-without-gradient", "saturated-activation", acc=0.88
)
def straight_through_bits():
    network = with_activation(straight_through, width=96)
    return classification("pair", network, optax.adam(1e-3), sets.digits(33), epochs=15, seed=133)


class Directions(nn.Module):
    """Columns of the image scaled to unit length, with a guard inside and outside of the root."""

    @nn.compact
    def __call__(self, x):
        columns = x.reshape(-1, 8, 8).transpose(0, 2, 1)
        square = jnp.sum(columns**2, -1, keepdims=True)
        length = jnp.sqrt(jnp.where(square > 0, square, 1.0))
        columns = jnp.where(square > 0, columns / length, 0.0)
        return nn.Dense(10)(nn.relu(nn.Dense(64)(columns.reshape(x.shape[0], -1))))


@healthy("where-gradient-nan", "division-by-zero", acc=0.93)
def guarded_twice():
    return classification("linen", Directions(), optax.adam(3e-3), sets.digits(34), seed=134)


class Centred(nn.Module):
    """Divides by a norm that is held fixed in the gradient, with a cosine classifier and a learnt temperature."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(64)(x))
        x = x / (jax.lax.stop_gradient(jnp.linalg.norm(x, axis=-1, keepdims=True)) + 1e-6)
        kernel = self.param("prototypes", nn.initializers.lecun_normal(), (64, 10))
        scale = self.param("log_temperature", nn.initializers.constant(2.5), ())
        return jnp.exp(scale) * x @ (kernel / (jnp.linalg.norm(kernel, axis=0) + 1e-6))


@healthy("parameter-without-gradient", "wrong-custom-gradient", "exp-overflow", acc=0.93)
def cosine_classifier():
    return classification("linen", Centred(), optax.adam(3e-3), sets.digits(35), seed=135)


def distilled():
    """A fixed random teacher's features are predicted beside the class: its weights are cut off on purpose."""

    def init(key, x):
        keys = jax.random.split(key, 4)
        return {
            "teacher": dense(keys[0], x.shape[-1], 16, 1.4),
            "body": dense(keys[1], x.shape[-1], 64, 1.4),
            "classes": dense(keys[2], 64, 10),
            "student": dense(keys[3], 64, 16),
        }

    def apply(params, x, train=False, key=None):
        body = jax.nn.relu(affine(params["body"], x))
        wanted = jax.lax.stop_gradient(jnp.tanh(affine(params["teacher"], x)))
        gap = jnp.mean((affine(params["student"], body) - wanted) ** 2, -1, keepdims=True)
        return jnp.concatenate([affine(params["classes"], body), gap], -1)

    return init, apply


@healthy("parameter-without-gradient", "unintended-freeze", "output-size-mismatch", "misscaled-loss-term", acc=0.93)
def fixed_teacher():
    """The optimizer knows: the teacher is masked as well as cut."""

    def loss(outputs, labels):
        return losses.cross_entropy(outputs[:, :10], labels) + 0.3 * outputs[:, 10]

    def names(params):
        return {name: "fixed" if name == "teacher" else "trained" for name in params}

    optimizer = optax.multi_transform({"trained": optax.adam(3e-3), "fixed": optax.set_to_zero()}, names)
    return classification(
        "pair",
        distilled(),
        optimizer,
        sets.digits(36),
        loss=loss,
        predict=lambda outputs: np.asarray(outputs)[:, :10].argmax(-1),
        probabilities=lambda outputs: jax.nn.softmax(outputs[:, :10]),
        seed=136,
    )


class Quantised(nnx.Module):
    """Hidden vectors replaced by the nearest of a codebook (van den Oord et al. 2017); its loss is an output."""

    def __init__(self):
        rngs = nnx.Rngs(137)
        self.down = nnx.Linear(64, 16, rngs=rngs)
        self.codes = nnx.Param(0.5 * jax.random.normal(rngs.params(), (32, 4)))
        self.hidden = nnx.Linear(16, 64, rngs=rngs)
        self.out = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, x):
        vectors = self.down(x).reshape(x.shape[0], 4, 4)
        codes = self.codes[...]
        nearest = jnp.argmin(jnp.sum((vectors[:, :, None] - codes) ** 2, -1), -1)
        chosen = codes[nearest]
        cut = jax.lax.stop_gradient
        commitment = jnp.mean((cut(vectors) - chosen) ** 2 + 0.25 * (vectors - cut(chosen)) ** 2, (1, 2))
        passed = vectors + cut(chosen - vectors)
        return jnp.concatenate(
            [self.out(nnx.relu(self.hidden(passed.reshape(x.shape[0], -1)))), commitment[:, None]], -1
        )


@healthy("non-differentiable-loss", "parameter-without-gradient", "wrong-custom-gradient", acc=0.85)
def vector_codes():
    def loss(outputs, labels):
        return losses.cross_entropy(outputs[:, :10], labels) + outputs[:, 10]

    return classification(
        "nnx",
        Quantised(),
        optax.adam(3e-3),
        sets.digits(37),
        loss=loss,
        predict=lambda outputs: np.asarray(outputs)[:, :10].argmax(-1),
        probabilities=lambda outputs: jax.nn.softmax(outputs[:, :10]),
        epochs=20,
        seed=137,
    )


class TwoViews(nn.Module):
    """One encoder for both views of an example: weights are shared on purpose."""

    @nn.compact
    def __call__(self, x):
        first, second = nn.Dense(48), nn.Dense(12)

        def encode(view):
            code = second(nn.relu(first(view)))
            return code / jnp.sqrt(jnp.sum(code**2, -1, keepdims=True) + 1e-6)

        return jnp.stack([encode(x[:, 0]), encode(x[:, 1])], 1)


@healthy("loss-broadcasting", "cross-example-leak", "unintended-weight-sharing", "input-ignored", loss=1.2)
def pairs_of_views():
    """A table of all pairs of a batch, in the loss, where each example is told from the others."""
    (x, _), (x_test, _) = sets.digits(38)
    rng = np.random.default_rng(38)

    def views(images):
        noise = 0.1 * rng.normal(size=(len(images), 2, 64))
        return (images[:, None] + noise).astype(np.float32), np.arange(len(images), dtype=np.int32)

    def loss(outputs, rows):
        table = outputs[:, 0] @ outputs[:, 1].T / 0.2
        return losses.cross_entropy(table, jnp.arange(table.shape[0]))

    return custom("linen", TwoViews(), optax.adam(2e-3), (views(x), views(x_test[:64])), loss=loss, epochs=8, seed=138)


class SameMask(nn.Module):
    """Noise that is one for all steps of a sequence (Gal and Ghahramani 2016): common on purpose, new at each step."""

    @nn.compact
    def __call__(self, x, train: bool = False):
        drop = nn.Dropout(0.2, broadcast_dims=(1,), deterministic=not train)
        h = drop(nn.relu(nn.Dense(32)(x)))
        h = drop(nn.relu(nn.Conv(32, (5,))(h)))
        return nn.Dense(3)(h.mean(1))


@healthy("fixed-dropout-key", "key-reuse", "train-eval-discrepancy", acc=0.85)
def common_mask_over_time():
    return classification("linen", SameMask(), optax.adam(5e-3), sets.series(seed=39), epochs=12, seed=139)


class Noisy(nn.Module):
    """Gaussian noise on hidden units in training only."""

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.relu(nn.Dense(64)(x))
        x = x + 0.3 * jax.random.normal(self.make_rng("dropout"), x.shape) if train else x
        return nn.Dense(10)(x)


@healthy("nondeterministic-eval", "train-eval-discrepancy", "unseeded-randomness", acc=0.93)
def noise_in_training():
    return classification("linen", Noisy(), optax.adam(3e-3), sets.digits(40), seed=140)


class Unused(nn.Module):
    """Holds a number that it no longer uses."""

    @nn.compact
    def __call__(self, x):
        self.param("old_scale", nn.initializers.ones, ())
        return nn.Dense(10)(nn.relu(nn.Dense(64)(x)))


@healthy("parameter-without-gradient", acc=0.93)
def one_number_unused():
    return classification("linen", Unused(), optax.adam(3e-3), sets.digits(41), seed=141)


def repeated():
    """One layer used four times, as in a recurrent depth."""

    def init(key, x):
        keys = jax.random.split(key, 3)
        return {"in": dense(keys[0], x.shape[-1], 64), "layer": dense(keys[1], 64, 64), "out": dense(keys[2], 64, 10)}

    def apply(params, x, train=False, key=None):
        given = affine(params["in"], x)
        state = jax.nn.relu(given)
        for _ in range(4):
            state = jax.nn.relu(given + 0.5 * affine(params["layer"], state))
        return affine(params["out"], state)

    return init, apply


@healthy("unintended-weight-sharing", "exploding-gradient", "unrolled-loop", acc=0.92)
def one_layer_four_times():
    return classification(
        "pair", repeated(), optax.adam(optax.cosine_decay_schedule(2e-3, 252)), sets.digits(42), seed=142
    )


class Fourier(nn.Module):
    """Fixed random features: a large constant in the program, on purpose."""

    @nn.compact
    def __call__(self, x):
        features = np.random.default_rng(143).normal(size=(2, 64)).astype(np.float32)
        x = x @ features
        return nn.Dense(1)(jnp.concatenate([jnp.sin(x), jnp.cos(x)], -1))


@healthy("unseeded-randomness", "captured-constant", "parameter-without-gradient", "exploding-initialization", acc=0.93)
def random_features():
    return binary("linen", Fourier(), optax.adam(2e-2), sets.rings(seed=43), epochs=15, seed=143)


class Radial(nn.Module):
    """Distances to learnt centres: most units answer to no more than a part of the rows."""

    @nn.compact
    def __call__(self, x):
        centres = self.param("centres", nn.initializers.normal(1.0), (32, 2))
        square = jnp.sum((x[:, None] - centres) ** 2, -1)
        return nn.Dense(1)(jnp.exp(-square))


@healthy("exp-overflow", "loss-broadcasting", "dying-relu", "symmetric-initialization", acc=0.93)
def radial_units():
    return binary("linen", Radial(), optax.adam(2e-2), sets.moons(seed=44), epochs=15, seed=144)
