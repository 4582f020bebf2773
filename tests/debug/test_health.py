import jax
import jax.numpy as jnp
import numpy as np
import pytest

from verax.debug import gradient_health, leaf_statistics

CASES = {
    "ok": (jnp.array([1.0, -2.0]), None),
    "nan": (jnp.array([jnp.nan, 1.0, jnp.inf]), "non-finite-gradient"),
    "inf": (jnp.array([-jnp.inf, 1.0]), "non-finite-gradient"),
    "large": (jnp.array([60.0, 81.0]), "exploding-gradient"),
    "small": (jnp.array([1e-7, 0.0]), "vanishing-gradient"),
    "zero": (jnp.zeros((2, 3)), "parameter-without-gradient"),
}


@pytest.mark.parametrize("status", CASES)
def test_each_illness_is_named_by_path(status):
    grads, finding = CASES[status]
    health = gradient_health({"layer": {"kernel": grads, "fine": jnp.ones(2)}})
    statuses = {leaf.path: leaf.status for leaf in health.leaves}
    assert statuses == {"layer/kernel": status, "layer/fine": "ok"}
    assert [(f.id, str(f.where)) for f in health.findings] == ([(finding, "layer/kernel")] if finding else [])
    assert health.healthy == (finding is None)


@pytest.mark.parametrize(("status", "change"), [("large", {"large": 101.0}), ("small", {"small": 1e-8})])
def test_thresholds_are_arguments(status, change):
    assert gradient_health(CASES[status][0], **change).healthy


def test_a_norm_on_the_threshold_is_not_beyond_it():
    assert gradient_health(jnp.array([100.0])).healthy
    assert not gradient_health(jnp.array([100.1])).healthy


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_norms_neither_overflow_nor_vanish(size):
    values = np.array([3.0, -4.0], np.float32) * np.float32(size)
    ((_, _, norm, largest, _),) = np.asarray(leaf_statistics([jnp.asarray(values)]), np.float64)
    np.testing.assert_allclose([norm, largest], [5 * size, 4 * size], rtol=1e-5)  # float32


def test_statistics_are_traceable_and_agree_with_numpy():
    values = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    values[0, :3] = [np.nan, np.inf, 0]
    row = np.asarray(jax.jit(leaf_statistics)({"kernel": jnp.asarray(values)}))[0]
    finite = values[np.isfinite(values)].astype(np.float64)
    expected = [1, 1, np.sqrt(np.sum(finite**2)), np.abs(finite).max(), np.mean(values != 0)]
    np.testing.assert_allclose(row, expected, rtol=1e-6)


def test_half_precision_integers_and_nothing():
    health = gradient_health(
        {"half": jnp.ones(2, jnp.bfloat16), "index": jnp.array(3), "none": None, "empty": jnp.zeros(0)}
    )
    assert {leaf.path: leaf.status for leaf in health.leaves} == {"half": "ok", "empty": "zero"}
    assert gradient_health({}).healthy


def test_the_table_shows_every_leaf():
    text = str(gradient_health({"kernel": jnp.array([3e4]), "bias": jnp.ones(1)}))
    assert "kernel  large" in text and "bias    ok" in text and "exploding-gradient" in text


def test_thresholds_in_the_wrong_order_are_refused():
    with pytest.raises(
        ValueError, match=r"small and large must satisfy 0 < small < large, got small=2\.0, large=1\.0\."
    ):
        gradient_health(jnp.ones(2), small=2.0, large=1.0)
