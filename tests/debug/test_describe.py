import jax
import jax.numpy as jnp

from verax.debug import describe
from verax.network import Variables


def test_every_leaf_is_listed_with_the_total():
    params = {"hidden": {"kernel": jnp.zeros((784, 128)), "bias": jnp.zeros(128, jnp.bfloat16)}, "steps": 3}
    description = describe(params)
    assert [(leaf.path, leaf.shape, leaf.dtype, leaf.count) for leaf in description.leaves] == [
        ("hidden/bias", (128,), "bfloat16", 128),
        ("hidden/kernel", (784, 128), "float32", 100352),
        ("steps", (), "int64", 1),
    ]
    assert description.total == 100481
    assert str(description).splitlines()[-1].split() == ["total", "100,481"]


def test_the_table_is_aligned():
    lines = str(describe({"a": jnp.zeros(3), "a_longer_name": jnp.zeros((10, 1000))})).splitlines()
    assert len({len(line) for line in lines}) == 1


def test_variables_shapes_and_keys_can_be_described():
    variables = Variables({"kernel": jax.ShapeDtypeStruct((2, 3), jnp.float32)}, {"key": jax.random.key(0)})
    assert [leaf.path for leaf in describe(variables).leaves] == ["params/kernel", "model_state/key"]
    assert describe({}).total == 0
