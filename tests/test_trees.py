import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verax import trees
from verax.network import Variables

TREE = {"hidden": {"kernel": np.ones((2, 3), np.float32), "bias": np.zeros(3, np.float32)}, "step": np.int32(4)}


def test_paths_are_written_with_slashes():
    tree = Variables({"layers": [jnp.ones(1), jnp.ones(2)]}, {"stats": (jnp.ones(3),)})
    assert list(trees.leaves_by_path(tree)) == ["params/layers/0", "params/layers/1", "model_state/stats/0"]


def test_a_leaf_alone_has_an_empty_path():
    assert trees.leaves_by_path(3.0) == {"": 3.0}


@pytest.mark.parametrize(
    ("leaf", "floating"),
    [
        (1.5, True),
        (1, False),
        (True, False),
        (np.float64(1), True),
        (jnp.ones(2, jnp.bfloat16), True),
        (np.arange(3), False),
        (jax.random.key(0), False),
    ],
)
def test_is_floating(leaf, floating):
    assert trees.is_floating(leaf) is floating


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_all_finite_sees_one_bad_number_in_any_leaf(bad):
    tree = {"a": jnp.ones(3), "b": jnp.array([1.0, bad]), "key": jax.random.key(0), "n": jnp.arange(3)}
    assert not trees.all_finite(tree)
    assert trees.all_finite({**tree, "b": jnp.ones(2)})


def test_all_finite_can_be_traced_and_holds_for_nothing():
    assert jax.jit(trees.all_finite)({"a": jnp.ones(3)})
    assert trees.all_finite({})


def test_count_is_the_number_of_elements():
    assert trees.count(TREE) == 6 + 3 + 1
    assert trees.count({"key": jax.random.key(0)}) == 1


def test_host_gives_the_words_of_a_key():
    key = jax.random.key(7)
    np.testing.assert_array_equal(trees.host(key), jax.random.key_data(key))


def test_digest_is_of_the_bytes_not_of_the_container():
    on_device = jax.tree.map(jnp.asarray, TREE)
    assert trees.digest(TREE) == trees.digest(on_device)


@pytest.mark.parametrize(
    "changed",
    [
        {**TREE, "step": np.int32(5)},
        {**TREE, "step": np.int64(4)},
        {**TREE, "step": np.array([4], np.int32)},
        {**TREE, "steps": TREE["step"]},
        {"hidden": TREE["hidden"]},
        {**TREE, "hidden": {**TREE["hidden"], "kernel": np.ones((3, 2), np.float32)}},
        {**TREE, "hidden": {**TREE["hidden"], "bias": -np.zeros(3, np.float32)}},
    ],
    ids=["value", "dtype", "shape", "extra leaf", "missing leaf", "transposed shape", "sign of zero"],
)
def test_digest_notices_every_kind_of_change(changed):
    assert trees.digest(changed) != trees.digest(TREE)


@given(st.integers(0, 5), st.integers(0, 31))
def test_digest_notices_one_flipped_bit(element, bit):
    kernel = TREE["hidden"]["kernel"].copy()
    kernel.view(np.uint32).reshape(-1)[element] ^= np.uint32(1 << bit)
    assert trees.digest({"kernel": kernel}) != trees.digest({"kernel": TREE["hidden"]["kernel"]})


def test_digest_does_not_depend_on_the_layout_in_memory():
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert trees.leaf_digest(np.asfortranarray(kernel)) == trees.leaf_digest(kernel)


def test_differences_of_equal_trees_are_none():
    assert trees.differences(TREE, jax.tree.map(jnp.asarray, TREE)) == []


def test_differences_names_every_leaf_that_does_not_fit():
    found = {"hidden": {"kernel": np.ones((2, 4), np.float32), "scale": np.ones(3, np.float16)}, "step": np.int64(4)}
    assert trees.differences(TREE, found) == [
        "hidden/bias: expected float32[3], missing",
        "hidden/kernel: expected float32[2,3], found float32[2,4]",
        "hidden/scale: not expected, found float16[3]",
        "step: expected int32[], found int64[]",
    ]


def test_shape_text_of_keys_numbers_and_abstract_leaves():
    assert trees.shape_text(jax.random.key(0)) == "key<fry>[]"
    assert trees.shape_text(1.0) == "float64[]"
    assert trees.shape_text(jax.ShapeDtypeStruct((2, 3), jnp.bfloat16)) == "bfloat16[2,3]"
