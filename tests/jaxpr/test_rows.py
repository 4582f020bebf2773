import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from verax.jaxpr import rows_are_independent

ROWS = 6


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def rows_that_change(fn, inputs, *args):
    """Returns whether a change of row 0 changes any other row of the outputs, by running it."""
    changed = jax.tree.map(
        lambda leaf: leaf.at[0].set(leaf[1] if leaf.dtype == jnp.int32 else leaf[0] * -3 + 1), inputs
    )
    before, after = fn(inputs, *args), fn(changed, *args)
    return any(
        np.ndim(a) == 0 or np.shape(a)[0] != ROWS or not np.array_equal(np.asarray(a)[1:], np.asarray(b)[1:])
        for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    )


class CNN(nn.Module):
    training: bool = False
    norm: type | None = None

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(4, (3, 3))(x)
        if self.norm:
            x = self.norm(use_running_average=not self.training)(x)
        x = nn.max_pool(nn.relu(x), (2, 2), (2, 2))
        x = nn.gelu(nn.Conv(6, (3, 3), padding="VALID", strides=2)(x))
        x = nn.pooling.pool(x, 0.0, jax.lax.add, (2, 2), (1, 1), "SAME")
        x = nn.Dropout(0.5, deterministic=not self.training)(x.reshape((x.shape[0], -1)))
        return nn.Dense(3)(nn.LayerNorm()(x))


class Attention(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(11, 8)(tokens)
        x = x + nn.MultiHeadDotProductAttention(2, qkv_features=8)(x, mask=nn.make_causal_mask(tokens))
        return nn.GroupNorm(2)(x).mean(axis=1)


class Recurrent(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.RNN(nn.LSTMCell(5))(x)[:, -1]


def linen(module, inputs, **kwargs):
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    variables = module.init(keys, inputs)
    if kwargs.get("mutable"):
        return lambda x: module.apply(variables, x, rngs={"dropout": jax.random.key(2)}, **kwargs)
    return lambda x: module.apply(variables, x, rngs={"dropout": jax.random.key(2)})


IMAGES, FEATURES, SEQUENCE = normal(ROWS, 12, 12, 1), normal(ROWS, 5), normal(ROWS, 7, 5)
TOKENS = jnp.asarray(np.random.default_rng(0).integers(0, 11, (ROWS, 4)), jnp.int32)
LABELS = jnp.arange(ROWS, dtype=jnp.int32) % 5
WEIGHTS = normal(5, 5, seed=1)


def attention_by_hand(x):
    scores = jax.nn.softmax(jnp.einsum("ntd,nsd->nts", x, x), axis=-1)
    return jnp.einsum("nts,nsd->ntd", scores, x)


def loop_over_time(x):
    def step(hidden, inputs):
        hidden = jnp.tanh(hidden @ WEIGHTS + inputs)
        return hidden, hidden

    return jax.lax.scan(step, jnp.zeros((ROWS, 5)), jnp.swapaxes(x, 0, 1))[1].swapaxes(0, 1)


@jax.custom_vjp
def squared(x):
    return x * x


squared.defvjp(lambda x: (x * x, x), lambda x, cotangent: (2 * x * cotangent,))

INDEPENDENT = {
    "MLP": (linen(nn.Sequential([nn.Dense(8), nn.relu, nn.Dense(3), nn.softmax]), FEATURES), FEATURES),
    "CNN with pooling, dropout and LayerNorm": (linen(CNN(training=True), IMAGES), IMAGES),
    "CNN with BatchNorm in evaluation": (linen(CNN(norm=nn.BatchNorm), IMAGES), IMAGES),
    "attention": (linen(Attention(), TOKENS), TOKENS),
    "attention by hand": (attention_by_hand, SEQUENCE),
    "LSTM": (linen(Recurrent(), SEQUENCE), SEQUENCE),
    "loop over time": (loop_over_time, SEQUENCE),
    "softmax over features": (lambda x: jax.nn.softmax(x, axis=1), FEATURES),
    "logsumexp": (lambda x: jax.nn.logsumexp(x, axis=-1), FEATURES),
    "sort within a row": (lambda x: jnp.sort(x, axis=1), FEATURES),
    "cumulative sum within a row": (lambda x: jnp.cumsum(x, axis=1), FEATURES),
    "top k within a row": (lambda x: jax.lax.top_k(x, 2), FEATURES),
    "transposed and back": (lambda x: (WEIGHTS @ x.T).T, FEATURES),
    "axes merged and parted": (lambda x: (x.reshape(-1, 5) @ WEIGHTS).reshape(ROWS, 7, 5), SEQUENCE),
    "axes merged behind time": (lambda x: x.swapaxes(0, 1).reshape(-1, 5).reshape(7, ROWS, 5).swapaxes(0, 1), SEQUENCE),
    "vmap of a convolution": (
        jax.vmap(lambda x: jax.lax.conv(x.transpose(2, 0, 1)[None], normal(2, 1, 3, 3), (1, 1), "SAME")),
        IMAGES,
    ),
    "vmap of indexing": (jax.vmap(lambda x, i: x[i]), None),
    "flipped features": (lambda x: x[:, ::-1], FEATURES),
    "padded features": (lambda x: jnp.pad(x, ((0, 0), (1, 2))), FEATURES),
    "a column set": (lambda x: x.at[:, 0].set(0.0), FEATURES),
    "columns taken": (lambda x: x[:, jnp.array([0, 3])], FEATURES),
    "stacked before": (lambda x: jnp.stack([x, x**2], axis=0).sum(0), FEATURES),
    "stacked after": (lambda x: jnp.stack([x, x**2], axis=1), FEATURES),
    "split features": (lambda x: jnp.split(x, [1], axis=1)[1], FEATURES),
    "tiled features": (lambda x: jnp.tile(x, (1, 2)), FEATURES),
    "concatenated features": (lambda x: jnp.concatenate([x, x**2, jnp.ones((ROWS, 1))], axis=1), FEATURES),
    "one-hot": (lambda x: jax.nn.one_hot(x, 11), TOKENS),
    "Fourier transform": (lambda x: jnp.abs(jnp.fft.fft(x, axis=1)), FEATURES),
    "linear algebra": (lambda x: jnp.linalg.cholesky(jnp.einsum("nti,ntj->nij", x, x)), SEQUENCE),
    "custom derivative": (lambda x: jax.nn.relu(squared(x)), FEATURES),
    "checkpointed": (jax.checkpoint(lambda x: jnp.tanh(x @ WEIGHTS)), FEATURES),
    "fixed number of steps": (lambda x: jax.lax.fori_loop(0, 3, lambda i, y: jnp.tanh(y @ WEIGHTS), x), FEATURES),
    "branch on a constant": (lambda x: jax.lax.cond(WEIGHTS[0, 0] > 0, jnp.sin, jnp.cos, x), FEATURES),
    "clipped": (lambda x: jnp.clip(x, -1.0, 1.0), FEATURES),
    "mixed and thrown away": (lambda x: (x - x.mean(axis=0, keepdims=True), x * 2)[1], FEATURES),
    "losses": (lambda x: optax.softmax_cross_entropy_with_integer_labels(x, LABELS), FEATURES),
    "a constant output": (lambda x: (x, jnp.float32(3.0)), FEATURES),
}
INDEPENDENT["vmap of indexing"] = (lambda pair: jax.vmap(lambda x, i: x[i])(*pair), (FEATURES, LABELS))

COUPLED = {
    "BatchNorm in training": (
        linen(CNN(training=True, norm=nn.BatchNorm), IMAGES, mutable=["batch_stats"]),
        IMAGES,
    ),
    "centred": (lambda x: x - x.mean(axis=0, keepdims=True), FEATURES),
    "softmax over examples": (lambda x: jax.nn.softmax(x, axis=0), FEATURES),
    "sorted examples": (lambda x: jnp.sort(x, axis=0), FEATURES),
    "cumulative sum of examples": (lambda x: jnp.cumsum(x, axis=0), FEATURES),
    "contrastive similarity": (lambda x: x @ x.T, FEATURES),
    "shuffled": (lambda x: x[jnp.array([1, 0, 2, 3, 4, 5])], FEATURES),
    "reversed": (lambda x: x[::-1], FEATURES),
    "rolled": (lambda x: jnp.roll(x, 1, axis=0), FEATURES),
    "mean": (lambda x: x.mean(), FEATURES),
    "transposed": (lambda x: x.T, normal(ROWS, ROWS)),
    "scrambling reshape": (lambda x: x.reshape(5, ROWS).T, FEATURES),
    "merged and summed": (lambda x: x.reshape(-1, 5).cumsum(axis=0).reshape(ROWS, 7, 5), SEQUENCE),
    "loop over examples": (lambda x: jax.lax.scan(lambda c, row: (c + row, c + row), jnp.zeros(5), x)[1], FEATURES),
    "carry mixed in the second step": (
        lambda x: jax.lax.fori_loop(0, 2, lambda i, c: (c[1], c[1].mean(axis=0, keepdims=True) + c[0]), (x, x))[0],
        FEATURES,
    ),
    "loop until all are done": (lambda x: jax.lax.while_loop(lambda y: y.max() > 0.1, lambda y: y * 0.5, x), FEATURES),
    "branch on the batch": (lambda x: jax.lax.cond(x[0, 0] > 0.3, jnp.sin, jnp.cos, x), FEATURES),
    "first row subtracted": (lambda x: x - x[:1], FEATURES),
    "convolution over examples": (
        lambda x: jax.lax.conv(x.T[:, None], normal(1, 1, 3), (1,), "SAME")[:, 0].T,
        FEATURES,
    ),
    "pooled over examples": (lambda x: nn.max_pool(x.T[..., None], (3,), (1,), "SAME")[..., 0].T, FEATURES),
    "nearest neighbour": (
        lambda x: jnp.argmin(((x[:, None] - x[None]) ** 2).sum(-1) + 99 * jnp.eye(ROWS), axis=1),
        FEATURES,
    ),
    "a table of the batch": (lambda x: x[TOKENS[:, 0] % ROWS], FEATURES),
}


@pytest.mark.parametrize("name", INDEPENDENT)
def test_independent_rows_are_recognised(name):
    fn, inputs = INDEPENDENT[name]
    if name != "a constant output":
        assert not rows_that_change(fn, inputs)
    assert rows_are_independent(fn, inputs)
    assert rows_are_independent(jax.jit(fn), inputs)


@pytest.mark.parametrize("name", COUPLED)
def test_coupled_rows_are_recognised(name):
    fn, inputs = COUPLED[name]
    assert rows_that_change(fn, inputs)
    assert not rows_are_independent(fn, inputs)


def test_shapes_are_enough():
    inputs = jax.ShapeDtypeStruct((ROWS, 5), jnp.float32)
    assert rows_are_independent(lambda x, w: x @ w, inputs, WEIGHTS)
    assert not rows_are_independent(lambda x, w: x @ w - x.sum(axis=0, keepdims=True), inputs, WEIGHTS)


def test_a_single_row_that_is_spread_over_others_is_coupled():
    assert not rows_are_independent(lambda x: x + jnp.ones((3, 5)), FEATURES[:1])
    assert not rows_are_independent(lambda x: jnp.broadcast_to(x, (3, 5)), FEATURES[:1])


def test_inputs_of_unequal_length_are_coupled():
    assert not rows_are_independent(lambda pair: pair[0] * 2, (FEATURES, FEATURES[:3]))
    assert not rows_are_independent(lambda pair: pair[0] * pair[1], (FEATURES, jnp.float32(2)))


def test_an_unknown_primitive_couples():
    assert not rows_are_independent(lambda x: jnp.linalg.solve(jnp.eye(ROWS), x), FEATURES)
