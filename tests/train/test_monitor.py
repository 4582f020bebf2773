"""`vx.monitor`: every number agrees with NumPy, the updates keep every bit, and it lives in any optimizer and loop."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import same_bits
from verax.findings import InputError
from verax.train import load_state, save_state
from verax.train._leaf_statistics import STATISTICS, StepTrees, leaf_statistics

SIZES = {"hidden": {"bias": (4,), "kernel": (3, 4)}, "scale": ()}


def tree(seed):
    random = np.random.default_rng(seed)
    return jax.tree.map(
        lambda shape: jnp.asarray(random.normal(size=shape), jnp.float32), SIZES, is_leaf=lambda x: isinstance(x, tuple)
    )


PATHS = ("hidden/bias", "hidden/kernel", "scale")


def grads_at(step):
    """Gradients with some zeros; at step 4 with a NaN in the kernel, at steps 4 and 5 with infinities in the bias."""
    grads = tree(100 + step)
    kernel = grads["hidden"]["kernel"].at[0, :2].set(0.0)
    bias = grads["hidden"]["bias"]
    if step == 4:
        kernel = kernel.at[1, 1].set(jnp.nan)
    if step in (4, 5):
        bias = bias.at[:2].set(jnp.array([jnp.inf, -jnp.inf]))
    return {"hidden": {"bias": bias, "kernel": kernel}, "scale": grads["scale"]}


def by_hand(grad, update, param, begun):
    """The statistics of a leaf, by definition, in float64."""
    grad, update, param, begun = (np.asarray(each, np.float64).ravel() for each in (grad, update, param, begun))

    def norm(values):
        return math.sqrt(sum(value**2 for value in values if math.isfinite(value)))

    finite = [abs(value) for value in grad if math.isfinite(value)]
    first, before = norm(begun), norm(param)
    return {
        "norm": norm(grad),
        "mean": sum(finite) / len(finite),
        "largest": max(finite),
        "zeros": sum(value == 0 for value in grad) / len(grad),
        "nan": sum(math.isnan(value) for value in grad),
        "inf": sum(math.isinf(value) for value in grad),
        "update_ratio": norm(update) / before if before else math.nan,
        "drift": norm(param - begun + update) / first if first else math.nan,
    }


def trained(optimizer, steps, params=None, grads=grads_at):
    """A hand loop; returns parameters, state, and at each step the updates and the parameters before it."""
    params = tree(0) if params is None else params
    state, taken = optimizer.init(params), []
    update = jax.jit(optimizer.update)
    for step in range(1, steps + 1):
        updates, state = update(grads(step), state, params)
        taken.append((updates, params))
        params = optax.apply_updates(params, updates)
    return params, state, taken


def test_every_number_agrees_with_numpy_on_a_loop_by_hand():
    _, state, taken = trained(vx.monitor(optax.sgd(0.1), every=1), 3)
    seen = vx.read_monitor(state)
    assert seen.paths == PATHS and seen.steps.tolist() == [1, 2, 3] and seen.count == seen.taken == 3
    begun, tables = taken[0][1], {name: np.zeros((3, 3)) for name in STATISTICS}
    nothing = jax.tree.map(jnp.zeros_like, begun)
    before = [(nothing, begun), *taken]  # a look sees where the update before it has led
    for index, (updates, params) in enumerate(before[:3]):
        leaves = [jax.tree.leaves(each) for each in (grads_at(index + 1), updates, params, begun)]
        for place, each in enumerate(zip(*leaves, strict=True)):
            for name, value in by_hand(*each).items():
                tables[name][index, place] = value
    tables["update_ratio"][0] = np.nan  # there was no update before the first
    for name, table in tables.items():  # float32 against float64, sums of at most 12 terms
        np.testing.assert_allclose(seen.recent[name], table, rtol=2e-6, err_msg=name)
        np.testing.assert_allclose(seen.mean[name], np.nanmean(table, axis=0), rtol=2e-6, err_msg=name)
        np.testing.assert_allclose(seen.largest[name], np.nanmax(table, axis=0), rtol=2e-6, err_msg=name)
    assert seen.first_nonfinite == {}
    assert seen.latest("scale")["norm"] == seen.recent["norm"][-1, 2]


def test_a_planted_nan_is_counted_and_its_step_named():
    _, state, _ = trained(vx.monitor(optax.sgd(0.0), every=1), 6)
    seen = vx.read_monitor(state)
    assert seen.first_nonfinite == {"hidden/bias": 4, "hidden/kernel": 4}
    assert seen.recent["nan"][:, 1].tolist() == [0, 0, 0, 1, 0, 0]
    assert seen.recent["inf"][:, 0].tolist() == [0, 0, 0, 2, 2, 0]
    assert np.isfinite(seen.recent["norm"]).all()
    expected = by_hand(grads_at(4)["hidden"]["kernel"], *[np.ones(1)] * 3)
    np.testing.assert_allclose(seen.recent["norm"][3, 1], expected["norm"], rtol=1e-6)
    assert "hidden/kernel: gradients not finite, first seen at step 4." in str(seen)


def test_only_every_so_many_updates_are_looked_at_and_the_ring_wraps():
    _, state, _ = trained(vx.monitor(optax.sgd(0.1), every=2, window=3), 11, grads=lambda step: tree(step))
    seen = vx.read_monitor(state)
    assert (seen.count, seen.taken, seen.steps.tolist()) == (11, 6, [7, 9, 11])
    norms = [[np.linalg.norm(leaf) for leaf in jax.tree.leaves(tree(step))] for step in (1, 3, 5, 7, 9, 11)]
    np.testing.assert_allclose(seen.recent["norm"], norms[3:], rtol=1e-6)
    np.testing.assert_allclose(seen.mean["norm"], np.mean(norms, axis=0), rtol=1e-6)  # of the older ones too
    np.testing.assert_allclose(seen.largest["norm"], np.max(norms, axis=0), rtol=1e-6)


def network(seed=0):
    """Parameters and loss of a small perceptron, large enough for vector instructions."""
    random = np.random.default_rng(seed)
    inputs = jnp.asarray(random.normal(size=(16, 24)), jnp.float32)
    params = {
        "hidden": {"kernel": jnp.asarray(random.normal(size=(24, 40)) / 5, jnp.float32), "bias": jnp.zeros(40)},
        "output": {"kernel": jnp.asarray(random.normal(size=(40, 5)) / 6, jnp.float32)},
    }

    def loss(params):
        hidden = jnp.tanh(inputs @ params["hidden"]["kernel"] + params["hidden"]["bias"][None])
        return jnp.mean(jnp.square(hidden @ params["output"]["kernel"] - 1))

    return params, loss


LABELS = {"hidden": "slow", "output": "fast"}
OPTIMIZERS = {
    "sgd": lambda: optax.sgd(0.05),
    "momentum": lambda: optax.sgd(0.05, momentum=0.9),
    "adamw": lambda: optax.adamw(1e-2),
    "chain": lambda: optax.chain(optax.clip_by_global_norm(0.1), optax.adam(optax.cosine_decay_schedule(1e-2, 20))),
    "lamb": lambda: optax.lamb(1e-2),
    "injected": lambda: optax.inject_hyperparams(optax.adamw)(learning_rate=1e-2, weight_decay=0.1),
    "accumulated": lambda: optax.MultiSteps(optax.adam(1e-2), 3).gradient_transformation(),
    "partition": lambda: optax.partition({"slow": optax.adam(1e-3), "fast": optax.set_to_zero()}, LABELS),
    "masked": lambda: optax.masked(optax.adam(1e-2), {"hidden": True, "output": False}),
}


def run(optimizer, steps=12, in_scan=False):
    with jax.numpy_dtype_promotion("standard"):  # which Optax is written for
        return run_as_it_is(optimizer, steps, in_scan)


def run_as_it_is(optimizer, steps, in_scan):
    params, loss = network()

    def step(carry, _=None):
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), updates

    carry = params, optimizer.init(params)
    if in_scan:
        return jax.jit(lambda carry: jax.lax.scan(step, carry, length=steps))(carry)
    each, step = [], jax.jit(step, donate_argnums=0)  # donated: a state that shares a buffer would be refused
    for _ in range(steps):
        carry, updates = step(carry)
        each.append(jax.tree.map(np.asarray, updates))
    return carry, each


@pytest.mark.compiler
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_updates_keep_every_bit(name):
    make = OPTIMIZERS[name]
    (params, state), updates = run(vx.monitor(make(), every=5))
    (expected, inner), wanted = run(make())
    assert same_bits(updates, wanted) and same_bits(params, expected) and same_bits(state.inner_state, inner)
    seen = vx.read_monitor(state)
    assert seen.steps.tolist() == [1, 6, 11] and (seen.recent["norm"] > 0).all()


@pytest.mark.compiler
def test_inside_a_scan_it_is_the_same():
    (params, state), _ = run(vx.monitor(optax.adamw(1e-2), every=5), in_scan=True)
    (expected, _), _ = run(optax.adamw(1e-2), in_scan=True)
    assert same_bits(params, expected)
    one_by_one = vx.read_monitor(run(vx.monitor(optax.adamw(1e-2), every=5))[0][1])
    seen = vx.read_monitor(state)
    assert seen.steps.tolist() == one_by_one.steps.tolist()
    np.testing.assert_allclose(seen.recent["norm"], one_by_one.recent["norm"], rtol=1e-5)


INSIDE = {
    "chain": lambda inner: optax.chain(optax.clip_by_global_norm(1.0), inner),
    "MultiSteps": lambda inner: optax.MultiSteps(inner, 2).gradient_transformation(),
    "masked": lambda inner: optax.masked(inner, {"hidden": True, "output": False}),
    "partition": lambda inner: optax.partition({"slow": inner, "fast": optax.set_to_zero()}, LABELS),
}


@pytest.mark.parametrize("name", INSIDE)
def test_it_is_found_anywhere_inside_a_state_and_leaves_out_what_it_does_not_see(name):
    (_, state), _ = run(INSIDE[name](vx.monitor(optax.adam(1e-2), every=1)), steps=4)
    seen = vx.read_monitor({"mine": (None, state)})
    hidden = ("hidden/bias", "hidden/kernel")
    assert seen.paths == (hidden if name in ("masked", "partition") else (*hidden, "output/kernel"))
    assert seen.count == (2 if name == "MultiSteps" else 4)
    assert np.isfinite(seen.recent["norm"]).all()


def test_lanes_are_as_alone():
    optimizer = vx.monitor(optax.sgd(1e-2, momentum=0.9), every=2, window=4)
    lanes = [tree(seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *lanes)

    def steps(params, scale):
        state = optimizer.init(params)
        for step in range(1, 6):
            grads = jax.tree.map(lambda leaf: leaf * scale, grads_at(step))
            updates, state = optimizer.update(grads, state, params)
            params = optax.apply_updates(params, updates)
        return state

    scales = jnp.array([1.0, 2.0, 3.0])
    together = jax.jit(jax.vmap(steps))(stacked, scales)
    every = vx.read_monitor(together)
    for lane, (params, scale) in enumerate(zip(lanes, scales, strict=True)):
        alone = vx.read_monitor(jax.jit(steps)(params, scale))
        for seen in (every[lane], vx.read_monitor(together, lane=lane)):
            assert seen.steps.tolist() == alone.steps.tolist() and seen.first_nonfinite == alone.first_nonfinite
            for name in STATISTICS:
                np.testing.assert_allclose(seen.recent[name], alone.recent[name], rtol=1e-5, err_msg=name)


def test_it_goes_to_disk_and_comes_back_and_goes_on_bit_for_bit(tmp_path):
    optimizer = vx.monitor(optax.sgd(1e-2, momentum=0.9), every=2, window=3)
    _, state, _ = trained(optimizer, 5)
    back = load_state(save_state(tmp_path / "state", state), like=optimizer.init(tree(0)))
    assert same_bits(back, state)
    step = jax.jit(optimizer.update)
    assert same_bits(step(grads_at(6), state, tree(0)), step(grads_at(6), back, tree(0)))


def test_leaves_that_are_frozen_by_none_or_hold_no_numbers_are_left_out():
    optimizer = vx.monitor(optax.sgd(0.1), every=1)
    params = {"a": jnp.ones(2), "b": None, "c": optax.MaskedNode()}
    _, state = jax.jit(optimizer.update)(params, optimizer.init(params), params)
    assert vx.read_monitor(state).paths == ("a",)


def test_without_params_what_needs_them_is_not_defined():
    optimizer = vx.monitor(optax.sgd(0.1), every=1)
    state, update = optimizer.init(tree(0)), jax.jit(optimizer.update)
    for params in (tree(0), tree(0), None):
        _, state = update(tree(1), state, params)
    latest = vx.read_monitor(state).latest("hidden/kernel")
    assert math.isnan(latest["update_ratio"]) and math.isnan(latest["drift"]) and latest["norm"] > 0


def test_of_a_large_leaf_a_sample_along_its_axes_is_followed():
    random = np.random.default_rng(0)
    begun, moved = random.normal(size=(300, 40)), 0.01 * random.normal(size=(300, 40))
    optimizer = vx.monitor(optax.sgd(1.0), every=1)
    params = {"w": jnp.asarray(begun, jnp.float32)}
    state, update = optimizer.init(params), jax.jit(optimizer.update)
    for _ in range(2):
        updates, state = update({"w": jnp.asarray(-moved, jnp.float32)}, state, params)
        params = optax.apply_updates(params, updates)
    assert state.first["w"].shape == state.last["w"].shape == (38, 20)
    some = np.s_[::8, ::2]
    seen = vx.read_monitor(state).latest("w")
    assert seen["update_ratio"] == pytest.approx(np.linalg.norm(moved[some]) / np.linalg.norm(begun[some]), rel=1e-4)
    assert seen["update_ratio"] == pytest.approx(np.linalg.norm(moved) / np.linalg.norm(begun), rel=0.1)
    assert seen["norm"] == pytest.approx(np.linalg.norm(moved), rel=1e-5)  # gradients are taken whole


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.complex64])
def test_narrow_and_complex_leaves_are_measured_in_float32(dtype):
    values = np.array([3, 4, 0, 300]) * (1 if dtype != jnp.complex64 else 1j)
    leaf = {"w": jnp.asarray(values, dtype)}
    row = dict(zip(STATISTICS, leaf_statistics(StepTrees(leaf, leaf, leaf, leaf))[0].tolist(), strict=True))
    assert row["norm"] == pytest.approx(math.sqrt(9 + 16 + 300**2), rel=1e-3)  # 300² is beyond float16
    assert row["zeros"] == 0.25 and row["update_ratio"] == row["drift"] == 1


def test_a_norm_whose_squares_leave_the_range_is_the_largest_magnitude():
    for size in (1e25, 1e-30):
        row = leaf_statistics(StepTrees({"w": jnp.full(4, size)}))[0]
        assert row[0] == row[2] == jnp.float32(size)


def test_an_optimizer_gets_the_extra_arguments_that_it_asks_for():
    def update(updates, state, params=None, *, value, **extra):
        assert set(extra) == {"value_fn"}
        return jax.tree.map(lambda leaf: -value * leaf, updates), state

    halved = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
    optimizer = vx.monitor(halved, every=1)
    state = optimizer.init(tree(0))
    updates, _ = optimizer.update(tree(1), state, tree(0), value=jnp.float32(0.5), value_fn=lambda _: 0.5)
    np.testing.assert_array_equal(updates["scale"], -0.5 * tree(1)["scale"])


def test_a_gradient_through_the_update_is_that_without_a_monitor():
    def after(rate, wrap):
        optimizer = wrap(optax.sgd(rate, momentum=0.9))
        params = {"w": jnp.array([1.0, 2.0])}
        state = optimizer.init(params)
        for _ in range(3):
            updates, state = optimizer.update(params, state, params)
            params = optax.apply_updates(params, updates)
        return params["w"].sum()

    watched = jax.grad(after)(0.1, lambda inner: vx.monitor(inner, every=1))
    np.testing.assert_allclose(watched, jax.grad(after)(0.1, lambda inner: inner), rtol=1e-6)


def test_it_prints_a_table_and_becomes_json():
    _, state, _ = trained(vx.monitor(optax.sgd(0.1), every=1, window=2), 4)
    seen = vx.read_monitor(state)
    text = str(seen).splitlines()
    assert text[0].split()[:3] == ["at", "step", "4"] and text[2].startswith("hidden/kernel")
    assert text[-1] == "4 of 4 updates were looked at."
    content = json.loads(json.dumps(seen.to_json(), allow_nan=False))
    assert content["paths"] == list(PATHS) and content["steps"] == [3, 4]
    assert np.shape(content["recent"]["norm"]) == (2, 3) and content["first_nonfinite"] == {
        "hidden/bias": 4,
        "hidden/kernel": 4,
    }


ONE = {"w": jnp.ones(1)}


def watched(**options):
    return vx.monitor(optax.sgd(0.1), **options)


MISUSES = [
    (lambda: vx.monitor.__wrapped__("adam"), "optimizer must be an Optax transformation such as optax.adamw.*got str"),
    (lambda: watched(every=0), "every must be a whole number of at least 1, got 0"),
    (lambda: watched(window=-1), "window must be a whole number of at least 1, got -1"),
    (lambda: vx.read_monitor(optax.sgd(0.1).init(ONE)), "has no monitor in it. Wrap the optimizer before its init"),
    (lambda: vx.read_monitor(watched().init(ONE), lane=0), "has no axis of lanes, got lane=0"),
    (lambda: vx.read_monitor(jax.vmap(watched().init)({"w": jnp.ones((2, 1))}), lane=2), r"in \[0, 2\), got 2"),
    (lambda: vx.read_monitor(watched().init(ONE)).latest("v"), "path must be one of w, got 'v'"),
    (lambda: vx.read_monitor(watched().init(ONE)).latest("w"), "nothing was looked at yet"),
]


@pytest.mark.parametrize(("call", "message"), MISUSES, ids=[message[:20] for _, message in MISUSES])
def test_misuse_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_multi_steps_is_taken_as_it_is():
    (_, state), _ = run(vx.monitor(optax.MultiSteps(optax.sgd(0.1), 2), every=1), steps=4)
    ratios = vx.read_monitor(state).recent["update_ratio"][:, 1]
    assert np.isnan(ratios[0]) and (ratios[1:] > 0).tolist() == [False, True, False]  # of the update before each look
