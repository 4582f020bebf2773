import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from verax.jaxpr import narrowing_casts


class MLP(nn.Module):
    dtype: type | None = None

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(4, name="hidden")(x))
        return nn.Dense(2, name="head", dtype=self.dtype)(x)


def forward(module):
    variables = module.init(jax.random.key(0), jnp.ones((2, 3)))
    return narrowing_casts(lambda v, x: module.apply(v, x), variables, jnp.ones((2, 3)))


def test_a_network_that_keeps_its_precision_has_no_casts():
    assert forward(MLP()) == ()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_layer_with_its_own_precision_is_named(dtype):
    casts = forward(MLP(dtype))
    assert casts
    assert {cast.place.name for cast in casts} == {"MLP/head"}
    assert {cast.narrow for cast in casts} == {jnp.dtype(dtype).name}
    assert all(cast.place.span.file == __file__ for cast in casts)
    assert str(casts[0]).startswith(f"float64 -> {jnp.dtype(dtype).name} in MLP/head ({__file__}:")


NARROWED = {
    "in jit": jax.jit(lambda x: x.astype(jnp.float32).sum()),
    "in scan": lambda x: jax.lax.scan(lambda c, y: (c + y.astype(jnp.float32), None), jnp.float32(0), x)[0],
    "in a branch": lambda x: jax.lax.cond(True, lambda y: y.astype(jnp.bfloat16), lambda y: y.astype(jnp.bfloat16), x),
    "by a matrix product": lambda x: jnp.dot(x, x, preferred_element_type=jnp.float32),
    "by rounding": lambda x: jax.lax.reduce_precision(x, 8, 10),
    "twice": lambda x: x.astype(jnp.float32).astype(jnp.float16),
}


@pytest.mark.parametrize("name", NARROWED)
def test_a_cast_is_found(name):
    assert narrowing_casts(NARROWED[name], jnp.ones(3))


KEPT = {
    "constants": lambda x: x * jnp.arange(3.0).astype(jnp.float32).astype(x.dtype),
    "not used by the result": lambda x: (x.astype(jnp.float32), x * 2)[1],
    "comparisons": lambda x: jnp.where(x > 0, x, 0.0),
    "indices": lambda x: x[jnp.argmax(x)],
    "random numbers": lambda x: x * jax.random.bernoulli(jax.random.key(0), 0.5, (3,)).astype(x.dtype),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_loses_nothing_is_not_reported(name):
    assert narrowing_casts(KEPT[name], jnp.ones(3)) == ()


def test_keys_and_integers_are_passed_on():
    def noisy(x, key, labels):
        return (x + jax.random.normal(key, x.shape, x.dtype))[labels]

    assert narrowing_casts(noisy, jnp.ones(3), jax.random.key(0), jnp.arange(2)) == ()


def test_the_global_precision_is_left_alone():
    narrowing_casts(jnp.sin, jnp.ones(3))
    assert jnp.ones(3).dtype == jnp.float32
