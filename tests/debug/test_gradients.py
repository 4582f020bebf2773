import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from verax.debug import _gradients, assert_gradients, check_gradients


def batch(rows=8, features=6, classes=4, seed=0):
    random = np.random.default_rng(seed)
    return jnp.asarray(random.normal(size=(rows, features)), jnp.float32), jnp.arange(rows) % classes


class MLP(nn.Module):
    dtype: type | None = None

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(8, name="hidden", dtype=self.dtype)(x))
        return nn.Dense(4, name="head", dtype=self.dtype)(nn.LayerNorm(dtype=self.dtype)(x))


class CNN(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.max_pool(nn.relu(nn.Conv(8, (3, 3))(x)), (2, 2), (2, 2))
        return nn.Dense(4)(x.reshape((x.shape[0], -1)))


def problem(module=None, inputs=None, seed=0):
    module = module or MLP()
    x, labels = batch(seed=seed)
    x = x if inputs is None else inputs
    params = module.init(jax.random.key(seed), x)["params"]

    def loss(params, x, labels, change=lambda params: params):
        logits = module.apply({"params": change(params)}, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels[: len(x)]).mean()

    return loss, params, (x, labels)


@jax.custom_vjp
def with_factor(leaf, factor):
    """The identity, whose gradient is multiplied by a factor."""
    return leaf


with_factor.defvjp(lambda leaf, factor: (leaf, factor), lambda factor, t: (t * factor.astype(t.dtype), None))


def spoiled(loss, layer, leaf, spoil):
    def change(params):
        return {**params, layer: {**params[layer], leaf: spoil(params[layer][leaf])}}

    return lambda params, *args: loss(params, *args, change)


def failed(report):
    return [leaf.path for leaf in report.leaves if leaf.status == "failed"]


def test_a_healthy_network_passes_on_every_coordinate():
    loss, params, args = problem()
    report = check_gradients(loss, params, *args)
    assert report.passed
    assert report.findings == ()
    assert report.checked == sum(leaf.size for leaf in jax.tree.leaves(params))
    assert max(leaf.relative_error for leaf in report.leaves) < 1e-7
    assert report.precision == "float64"
    np.testing.assert_allclose(report.loss, loss(params, *args), rtol=1e-5)  # float32 on the right
    assert not jax.config.jax_enable_x64


@pytest.mark.parametrize("seed", range(5))
def test_no_seed_gives_a_false_alarm(seed):
    loss, params, args = problem(seed=seed)
    assert check_gradients(loss, params, *args).passed


@pytest.mark.parametrize("factor", [1.001, 0.999, -1.0, 2.0])
@pytest.mark.parametrize("place", [("hidden", "kernel"), ("head", "bias"), ("LayerNorm_0", "scale")])
def test_a_wrong_gradient_is_found_by_name(factor, place):
    loss, params, args = problem()
    report = check_gradients(spoiled(loss, *place, lambda leaf: with_factor(leaf, jnp.float32(factor))), params, *args)
    assert not report.passed
    assert failed(report) == ["/".join(place)]
    (finding,) = report.findings
    assert (finding.id, str(finding.where)) == ("wrong-custom-gradient", "/".join(place))
    assert ("the sign is wrong" in finding.message) == (factor == -1)


def test_one_wrong_number_in_a_leaf_is_found_and_shown():
    loss, params, args = problem()
    factor = jnp.ones((6, 8)).at[2, 3].set(1.001)
    # the coordinate must have a gradient, or there is nothing to find
    report = check_gradients(spoiled(loss, "hidden", "kernel", lambda leaf: with_factor(leaf, factor)), params, *args)
    (leaf,) = [leaf for leaf in report.leaves if leaf.status == "failed"]
    assert (leaf.path, leaf.wrong, leaf.worst.where) == ("hidden/kernel", 1, (2, 3))
    np.testing.assert_allclose(leaf.worst.automatic / leaf.worst.numerical, 1.001, rtol=1e-6)


def test_a_gradient_that_was_cut_is_found():
    loss, params, args = problem()
    report = check_gradients(spoiled(loss, "hidden", "bias", jax.lax.stop_gradient), params, *args)
    assert failed(report) == ["hidden/bias"]
    assert report.findings[0].id == "parameter-without-gradient"


def test_an_unused_leaf_is_no_error():
    report = check_gradients(lambda p: jnp.sum(p["used"] ** 2), {"used": jnp.ones(2), "unused": jnp.ones(3)})
    assert report.passed
    assert [leaf.detects is None for leaf in report.leaves] == [True, False]


@pytest.mark.parametrize("planted", [0.5, 2.0])
def test_the_stated_power_is_the_power(planted):
    loss, params, args = problem()
    power = check_gradients(loss, params, *args).detects
    factor = jnp.float32(1 + power * planted * (1 if planted > 1 else 0.01))

    def spoil(leaf):
        return with_factor(leaf, factor)

    report = check_gradients(spoiled(loss, "hidden", "kernel", spoil), params, *args)
    assert report.passed == (planted < 1)


def test_kinks_are_counted_and_shown_not_failed():
    params = {"weight": jnp.array([0.0, 1.0, -2.0]), "scale": jnp.array(0.0)}
    report = check_gradients(
        lambda p: jnp.sum(jax.nn.relu(p["weight"])) + jnp.abs(p["scale"]) + p["scale"] ** 2, params
    )
    assert report.passed
    assert {leaf.path: leaf.kinks for leaf in report.leaves} == {"weight": 1, "scale": 1}
    assert {leaf.path: leaf.status for leaf in report.leaves} == {"weight": "passed", "scale": "undecided"}
    assert report.findings[0].id == "gradient-undecided"


def test_dead_inputs_put_a_whole_layer_on_kinks_without_failing_it():
    loss, params, (x, labels) = problem()
    assert check_gradients(
        loss, params, jnp.zeros_like(x), labels
    ).passed  # with balanced classes nothing pulls either way
    report = check_gradients(loss, params, jnp.zeros_like(x), 0 * labels)  # zero biases: every unit sits at its corner
    assert report.passed
    assert sum(leaf.kinks for leaf in report.leaves) > 0


def test_a_jump_of_the_second_derivative_does_not_fail():
    assert check_gradients(lambda p: jnp.sum(1e6 * jax.nn.relu(p) ** 2 + p), jnp.zeros(2)).passed


def test_a_kink_near_by_does_not_fail():
    report = check_gradients(lambda p: jnp.sum(jax.nn.relu(p)), jnp.array([3e-7, -3e-7, 1.0]))
    assert report.passed
    assert report.leaves[0].kinks == 0


def test_a_kink_does_not_excuse_a_gradient_outside_its_sides():
    def loss(p):
        return jnp.sum(jax.nn.relu(with_factor(p, jnp.float32(1.0)))) + jnp.sum(with_factor(p, jnp.float32(3.0)))

    report = check_gradients(loss, jnp.zeros(2))
    assert failed(report) == [""]


def test_unscaled_inputs_do_not_fail():
    loss, params, (x, labels) = problem()
    assert check_gradients(loss, params, x * 255, labels).passed


def test_a_large_tree_is_sampled_with_directions(monkeypatch):
    monkeypatch.setattr(_gradients, "FULL", 50)
    monkeypatch.setattr(_gradients, "SAMPLED", 96)
    loss, params, args = problem()
    healthy = check_gradients(loss, params, *args)
    kernel = {leaf.path: leaf for leaf in healthy.leaves}["hidden/kernel"]
    assert healthy.passed
    assert (kernel.coordinates, kernel.directions) == (16, 3)
    factor = jnp.ones((6, 8)).at[2, 3].set(1.01)  # one number: only the directions are sure to see it
    report = check_gradients(spoiled(loss, "hidden", "kernel", lambda leaf: with_factor(leaf, factor)), params, *args)
    assert failed(report) == ["hidden/kernel"]


def test_the_number_of_coordinates_can_be_chosen():
    loss, params, args = problem()
    report = check_gradients(loss, params, *args, max_coordinates_per_leaf=5)
    assert all(leaf.coordinates <= 5 for leaf in report.leaves)
    assert report.passed


def test_a_convolutional_network_passes_and_fails_where_it_should():
    images = jnp.asarray(np.random.default_rng(0).normal(size=(4, 8, 8, 1)), jnp.float32)
    loss, params, args = problem(CNN(), images)
    assert check_gradients(loss, params, *args).passed
    report = check_gradients(
        spoiled(loss, "Conv_0", "kernel", lambda leaf: with_factor(leaf, jnp.float32(1.001))), params, *args
    )
    assert failed(report) == ["Conv_0/kernel"]


@pytest.mark.parametrize("seed", range(4))
def test_a_network_in_float32_passes_and_says_where_and_how_well(seed):
    loss, params, args = problem(MLP(jnp.float32), seed=seed)
    report = check_gradients(loss, params, *args)
    assert report.passed, report
    assert report.precision == "float32"
    assert {cast.place.name for cast in report.casts} == {"MLP/hidden", "MLP/LayerNorm_0", "MLP/head"}
    assert report.detects is not None and 1e-4 < report.detects <= 0.2
    assert "narrowed: float64 -> float32 in MLP/hidden" in str(report)


@pytest.mark.parametrize("factor", [1.3, -1.0, 0.0])
def test_a_wrong_gradient_in_float32_is_found_by_name(factor):
    loss, params, args = problem(MLP(jnp.float32))
    report = check_gradients(
        spoiled(loss, "hidden", "kernel", lambda leaf: with_factor(leaf, jnp.float32(factor))), params, *args
    )
    assert failed(report) == ["hidden/kernel"]


@pytest.mark.parametrize("seed", range(2))
def test_a_network_in_bfloat16_does_not_fail(seed):
    with jax.numpy_dtype_promotion("standard"):  # Flax's LayerNorm needs it in bfloat16
        loss, params, args = problem(MLP(jnp.bfloat16), seed=seed)
        report = check_gradients(loss, params, *args)
    assert report.passed
    assert report.precision == "bfloat16"


def test_randomness_from_the_host_is_found():
    noise = np.random.default_rng(0)
    report = check_gradients(lambda p: jnp.sum(p) * noise.normal(), jnp.ones(2))
    assert not report.passed
    assert report.findings[0].id == "unseeded-randomness"


def test_randomness_behind_a_callback_is_found():
    noise = np.random.default_rng(0)

    def loss(p):
        drawn = jax.pure_callback(lambda: np.float64(noise.normal()), jax.ShapeDtypeStruct((), jnp.float64))
        return jnp.sum(p) * drawn

    assert check_gradients(loss, jnp.ones(2)).findings[0].id == "unseeded-randomness"


def test_random_numbers_from_a_key_are_fine():
    def loss(p, key):
        return jnp.sum(p**2 * jax.random.bernoulli(key, 0.5, p.shape).astype(p.dtype))

    assert check_gradients(loss, jnp.ones(20), jax.random.key(0)).passed


def test_a_loss_that_is_not_finite_is_reported():
    report = check_gradients(lambda p: jnp.sum(jnp.log(p)), jnp.array([-1.0]))
    assert report.findings[0].id == "non-finite-loss"


def test_a_gradient_that_is_not_finite_is_reported():
    report = check_gradients(lambda p: jnp.sum(jnp.where(p > 0, jnp.sqrt(jnp.abs(p)), 0.0)), jnp.array([0.0, 1.0]))
    assert [finding.id for finding in report.findings] == ["non-finite-gradient"]


def test_integers_and_none_are_passed_on():
    params = {"weight": jnp.ones(2), "index": jnp.array(1), "none": None}
    report = check_gradients(lambda p: p["weight"][p["index"]] ** 2, params)
    assert report.passed
    assert [leaf.path for leaf in report.leaves] == ["weight"]


def test_assert_gradients_raises_with_the_report():
    loss, params, args = problem()
    assert assert_gradients(loss, params, *args).passed
    with pytest.raises(
        AssertionError, match=r"(?s)disagrees with finite differences.*head/bias: wrong-custom-gradient"
    ):
        assert_gradients(spoiled(loss, "head", "bias", lambda leaf: with_factor(leaf, jnp.float32(1.1))), params, *args)


def test_the_report_prints_every_leaf():
    loss, params, args = problem()
    text = str(check_gradients(loss, params, *args))
    assert all(path in text for path in ("hidden/kernel", "head/bias", "LayerNorm_0/scale"))
    assert "passed: 108 coordinates in float64, would have caught a relative error of" in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps": 0.0}, "eps must be positive, got 0.0."),
        ({"tolerance": -1.0}, "tolerance must be positive, got -1.0."),
        ({"max_coordinates_per_leaf": 0}, "max_coordinates_per_leaf must be at least 1, got 0."),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError) as error:
        check_gradients(lambda p: jnp.sum(p), jnp.ones(2), **settings)
    assert str(error.value) == message


def test_params_without_floating_point_numbers_are_refused():
    with pytest.raises(ValueError, match="params must hold floating-point numbers"):
        check_gradients(lambda p: jnp.float32(1.0), {"index": jnp.array(1)})
