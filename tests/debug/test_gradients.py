import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from verax.debug import _gradients, assert_gradients, check_gradients, make_gradient_check


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


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_network_with_its_own_precision_is_checked_in_float64_and_named(dtype):
    with jax.numpy_dtype_promotion("standard"):  # Flax's LayerNorm needs it in bfloat16
        loss, params, args = problem(MLP(dtype))
        report = check_gradients(loss, params, *args)
    assert report.passed, report
    assert report.precision == "float64" and report.checked == 108
    assert max(leaf.relative_error for leaf in report.leaves) < 1e-7
    assert {cast.place.name for cast in report.casts} >= {"MLP/hidden", "MLP/LayerNorm_0", "MLP/head"}
    assert report.detects is not None and report.detects <= 1e-4
    assert f"narrowed: float64 -> {jnp.dtype(dtype).name} in MLP/hidden" in str(report)
    assert "checked in float64" in str(report)


@pytest.mark.parametrize("factor", [1.0001, -1.0, 0.0])
def test_a_wrong_gradient_in_float32_is_found_by_name(factor):
    loss, params, args = problem(MLP(jnp.float32))
    report = check_gradients(
        spoiled(loss, "hidden", "kernel", lambda leaf: with_factor(leaf, jnp.float32(factor))), params, *args
    )
    assert failed(report) == ["hidden/kernel"]


@jax.custom_vjp
def on_the_host(x):
    """A sine by NumPy, in float32 whatever is given."""
    shape = jax.ShapeDtypeStruct(x.shape, jnp.float32)
    return jax.pure_callback(lambda x: np.sin(np.asarray(x, np.float32)), shape, x.astype(jnp.float32)).astype(x.dtype)


on_the_host.defvjp(lambda x: (on_the_host(x), x), lambda x, g: (g * jnp.cos(x),))


@pytest.mark.parametrize("factor", [1.0, 1.3, -1.0])
def test_what_a_callback_computes_in_float32_is_checked_with_long_lines(factor):
    def loss(params):
        return jnp.sum(on_the_host(with_factor(params, jnp.float32(factor))) ** 2)

    report = check_gradients(loss, jnp.linspace(0.3, 1.2, 5))
    assert report.precision == "float32"
    assert report.passed == (factor == 1), report
    assert report.detects is None or 1e-4 < report.detects <= 0.2


def test_a_loop_that_starts_in_float32_is_checked_in_float64():
    def loss(params, x):
        state, _ = jax.lax.scan(lambda c, _: (jnp.tanh(c @ params + x), None), jnp.zeros(3, jnp.float32), length=4)
        return jnp.sum(state**2)

    params = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)), jnp.float32)
    report = check_gradients(loss, params, jnp.ones(3))
    assert report.passed and report.leaves[0].relative_error < 1e-7


def test_rounding_and_sign_are_steps_not_errors():
    at = {"round": jnp.array([0.5, 0.2]), "sign": jnp.array([0.0, 1.0]), "max": jnp.array([1.0, 1.0])}

    def loss(p):
        flat = jnp.sum(jnp.round(p["round"])) + jnp.sum(jnp.sign(p["sign"]))
        return flat + jnp.sum(p["round"] ** 2) + jnp.max(p["max"])

    report = check_gradients(loss, at)
    assert report.passed
    assert {leaf.path: leaf.kinks for leaf in report.leaves} == {"max": 0, "round": 1, "sign": 1}
    # between two equal maxima JAX's derivative is one half, which is what a central difference says too


@jax.custom_jvp
def slightly_wrong_sine(x):
    return jnp.sin(x)


slightly_wrong_sine.defjvp(lambda p, t: (jnp.sin(p[0]), 1.001 * jnp.cos(p[0]) * t[0]))


def dense_sine(params, x, of=slightly_wrong_sine):
    return jnp.mean((of(x @ params["first"]) @ params["second"]) ** 2)


def dense_params():
    random = np.random.default_rng(0)
    first, second = random.normal(size=(4, 5)), random.normal(size=(5, 3))
    return {"first": jnp.asarray(first, jnp.float32), "second": jnp.asarray(second, jnp.float32)}


X = jnp.asarray(np.random.default_rng(1).normal(size=(6, 4)), jnp.float32)


def test_a_wrong_rule_is_named_with_its_line():
    report = check_gradients(dense_sine, dense_params(), X)
    (rule,) = report.rules
    assert (rule.status, rule.kind, rule.name) == ("failed", "custom_jvp", "slightly_wrong_sine")
    assert rule.definition.file == rule.place.span.file == __file__
    np.testing.assert_allclose(rule.worst.automatic / rule.worst.numerical, 1.001, rtol=1e-6)
    (finding,) = report.findings
    assert str(finding.where) == "first" and f"slightly_wrong_sine, defined at {__file__}:" in finding.message
    json.dumps(report.to_json(), allow_nan=False)


@pytest.mark.parametrize("around", ["scan", "cond", "jit"])
def test_a_wrong_rule_inside_a_program_is_named(around):
    wraps = {
        "scan": lambda x: jax.lax.scan(lambda c, _: (slightly_wrong_sine(c), None), x, length=2)[0],
        "cond": lambda x: jax.lax.cond(x.sum() > 1e9, jnp.sin, slightly_wrong_sine, x),
        "jit": jax.jit(slightly_wrong_sine),
    }
    report = check_gradients(lambda p, x: dense_sine(p, x, wraps[around]), dense_params(), X)
    assert failed(report) == ["first"]
    assert [rule.status for rule in report.rules] == ["failed"]
    assert "slightly_wrong_sine" in report.findings[0].message


@jax.custom_vjp
def right_softplus(x):
    return jnp.log1p(jnp.exp(x))


right_softplus.defvjp(lambda x: (right_softplus(x), x), lambda x, g: (g * jax.nn.sigmoid(x),))


def test_a_right_rule_passes_by_itself():
    report = check_gradients(lambda p, x: dense_sine(p, x, right_softplus), dense_params(), X)
    assert report.passed and report.findings == ()
    assert [(rule.name, rule.status) for rule in report.rules] == [("right_softplus", "passed")]


def test_a_wrong_rule_that_no_leaf_shows_is_a_warning():
    def loss(params):
        return jnp.sum(params**2) + 0.0 * jnp.sum(slightly_wrong_sine(params))

    report = check_gradients(loss, jnp.ones(3))
    assert report.passed
    (finding,) = report.findings
    assert (finding.id, finding.severity, finding.where.file) == ("wrong-custom-gradient", "warning", __file__)


def test_jax_s_own_rules_are_trusted():
    loss, params, args = problem()
    assert check_gradients(loss, params, *args).rules == ()


def test_a_stop_gradient_is_named_with_its_line():
    def loss(params, x):
        hidden = jnp.tanh(x @ params["first"])
        scale = jax.lax.stop_gradient(jnp.mean(hidden))
        shift = jax.lax.stop_gradient(jnp.max(hidden @ params["second"]))
        return jnp.mean((hidden * scale) ** 2) + jnp.mean((hidden @ params["second"] - shift) + shift)

    report = check_gradients(loss, dense_params(), X)
    assert failed(report) == ["first"]
    line = loss.__code__.co_firstlineno + 2
    assert f"It is cut by stop_gradient in {__file__}:{line}." in report.findings[0].message


@jax.custom_vjp
def straight_round(x):
    return jnp.round(x)


straight_round.defvjp(lambda x: (jnp.round(x), None), lambda _, g: (g,))


@pytest.mark.parametrize("kind", ["custom_vjp", "stop_gradient"])
def test_a_straight_through_gradient_is_meant(kind):
    def of(x):
        return straight_round(x) if kind == "custom_vjp" else x + jax.lax.stop_gradient(jnp.round(x) - x)

    report = check_gradients(lambda p, x: dense_sine(p, x, of), dense_params(), X)
    assert report.passed
    assert {leaf.path: leaf.status for leaf in report.leaves} == {"first": "undecided", "second": "passed"}
    (finding,) = report.findings
    assert (finding.id, finding.severity) == ("straight-through-gradient", "info")
    assert (kind if kind == "stop_gradient" else "straight_round") in finding.message


def test_a_rounding_behind_it_does_not_excuse_a_wrong_rule():
    def of(x):
        return slightly_wrong_sine(x) + 0.01 * straight_round(x)

    report = check_gradients(lambda p, x: dense_sine(p, x, of), dense_params(), X)
    assert failed(report) == ["first"]
    assert "slightly_wrong_sine" in report.findings[0].message


def test_a_gradient_smaller_than_rounding_is_undecided_and_a_remark():
    report = check_gradients(lambda p: 1.0 + 1e-22 * jnp.sum(p["small"]) + p["large"] ** 2, TINY)
    assert report.passed
    assert {leaf.path: leaf.status for leaf in report.leaves} == {"large": "passed", "small": "undecided"}
    assert [(finding.id, finding.severity) for finding in report.findings] == [("gradient-undecided", "info")]


TINY = {"small": jnp.ones(2), "large": jnp.array(1.0)}


@pytest.mark.parametrize("factor", [1.0, 1.0001])
def test_an_error_in_a_small_gradient_is_seen_along_a_longer_line(factor):
    def loss(p):
        return jnp.exp(p["large"]) + 1e-7 * jnp.sum(jnp.sin(with_factor(p["small"], jnp.float32(factor))))

    report = check_gradients(loss, TINY)
    assert report.passed == (factor == 1)
    assert report.leaves[1].directions == 1


def test_impure_code_is_named_with_its_line():
    noise = np.random.default_rng(0)

    def loss(p):
        scaled = jnp.sum(p**2)
        return scaled * noise.normal()

    (finding,) = check_gradients(loss, jnp.ones(2)).findings
    assert (finding.id, finding.where.file) == ("unseeded-randomness", __file__)
    assert finding.where.line == loss.__code__.co_firstlineno + 2


def test_flags_and_strings_among_the_arguments_are_fixed():
    def loss(p, batch, training, mode):
        assert training is True and mode == "mean"
        return jnp.mean((p * batch) ** 2)

    assert check_gradients(loss, jnp.ones(3), jnp.ones(3), True, "mean").passed


def test_a_module_that_holds_functions_is_a_tree_like_others():
    params = {"weight": jnp.ones(3), "activation": jnp.tanh}
    report = check_gradients(lambda p: jnp.sum(p["activation"](p["weight"])), params)
    assert report.passed and report.skipped[0].startswith("activation (")


def test_what_cannot_be_differentiated_by_is_skipped_and_said():
    params = {"weight": jnp.ones(2), "steps": jnp.array(1), "key": jax.random.key(0), "none": None}

    def loss(p):
        return jnp.sum(p["weight"] ** 2 * jax.random.uniform(p["key"], (2,)).astype(p["weight"].dtype))

    report = check_gradients(loss, params)
    assert report.passed
    assert report.skipped == ("key (key<fry>)", "none (None)", "steps (int32)")
    assert "skipped: key (key<fry>), none (None), steps (int32)" in str(report)


def test_a_check_that_was_made_is_compiled_once():
    traces = []

    def loss(p, x):
        traces.append(None)
        return jnp.sum(jnp.tanh(p * with_factor(x, jnp.float32(1.0))))

    check = make_gradient_check(loss)
    first = check(jnp.ones(3), jnp.ones(3))
    count = len(traces)
    again = check(2 * jnp.ones(3), jnp.ones(3))
    assert first.passed and again.passed and len(traces) == count
    assert again.loss == pytest.approx(3 * np.tanh(2.0)) and first.loss == pytest.approx(3 * np.tanh(1.0))
    assert check(jnp.ones(4), jnp.ones(4)).passed and len(traces) > count


def test_a_check_that_was_made_finds_what_goes_wrong_later():
    check = make_gradient_check(lambda p, factor: jnp.sum(jnp.sin(with_factor(p, factor))))
    assert check(jnp.ones(3), 1.0).passed
    assert not check(jnp.ones(3), 1.0001).passed
    assert check(jnp.ones(3), 1.0).passed


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
