"""Findings about random keys: their words, their lines, and every library."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import random

import verax as vx
from tests.network.five import KINDS, network
from tests.train.cases import COLUMNS
from verax.findings import Span

HERE = __file__
INPUTS = jnp.ones((4, COLUMNS))
LINEN = network("linen", False, 0.5)


def line_of(text):
    """Returns the line of this file that holds a text, the first one."""
    with open(HERE) as file:
        return next(number for number, line in enumerate(file, 1) if text in line)


def step(variables, key):
    first = LINEN.apply(variables, INPUTS, key=key)  # the first application
    second = LINEN.apply(variables, INPUTS, key=key)  # the second application
    return first[0] + second[0]


@jax.jit
def noise(key):
    return random.normal(key)  # the draw of noise


def adds_noise(key):
    first = noise(key)  # the first call
    return first + noise(key)  # the second call


def test_both_uses_are_named_by_line():
    def draws_and_splits(key):
        drawn = random.normal(key)  # the line of the draw
        return drawn, random.split(key)  # the line of the split

    (finding,) = vx.debug.key_reuse(draws_and_splits, random.key(0))
    assert (finding.id, finding.severity) == ("key-reuse", "warning")
    draw, split = line_of("# the line of the draw"), line_of("# the line of the split")
    assert finding.message == f"one key is drawn from in {HERE}:{draw} and split in {HERE}:{split}."
    assert finding.where == Span(HERE, split)
    assert "jax.random.split" in finding.advice


def test_a_layer_that_is_applied_twice_is_named_with_both_calls():
    variables = jax.eval_shape(LINEN.init, random.key(0), INPUTS)
    (finding,) = vx.debug.key_reuse(step, variables, random.key(1))
    assert finding.message.count("drawn from in Linen/Dropout_0 (") == 2
    for text in ("# the first application", "# the second application"):
        assert f"called in {HERE}:{line_of(text)}" in finding.message


def test_a_compiled_function_that_is_called_twice_is_named_with_both_calls():
    adds_noise(random.key(0))  # JAX keeps what it traced here
    (finding,) = vx.debug.key_reuse(adds_noise, random.key(0))
    for text in ("# the first call", "# the second call"):
        assert f"{HERE}:{line_of('# the draw of noise')} called in {HERE}:{line_of(text)}" in finding.message


def test_the_line_is_the_callers_although_jax_traced_the_sampler_before():
    random.normal(random.key(0), (17,))
    (finding,) = vx.debug.key_reuse(
        lambda: random.normal(random.key(0), (17,)),  # the constant key
    )
    assert finding.id == "fixed-dropout-key"
    assert finding.where == Span(HERE, line_of("# the constant key"))


def test_a_loop_a_vmap_and_a_python_loop_say_what_they_are():
    def in_scan(key):
        return jax.lax.scan(lambda c, _: (c + random.normal(key), None), 0.0, None, length=3)

    def in_vmap(key, x=np.ones(3, np.float32)):  # noqa: B008
        return jax.vmap(lambda x: x + random.normal(key))(x)

    def in_python(key):
        return [random.normal(key) for _ in range(5)]

    messages = [vx.debug.key_reuse(fn, random.key(0))[0].message for fn in (in_scan, in_vmap, in_python)]
    assert messages[0].startswith("the same key is drawn from at every iteration of a loop")
    assert messages[1].startswith("numbers are drawn once in") and "vmap" in messages[1]
    assert messages[2].startswith("one key is drawn from more than once in")
    assert len(vx.debug.key_reuse(in_python, random.key(0))) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [random.key, random.PRNGKey])
@jax.numpy_dtype_promotion("standard")  # Haiku's dropout multiplies numbers by truths
def test_each_library_is_right_until_one_key_serves_twice(kind, make):
    net, key = network(kind, kind in ("linen", "nnx", "equinox"), 0.5), make(0)
    variables = jax.eval_shape(net.init, random.key(0), INPUTS)

    def loss(variables, key):
        return net.apply(variables, INPUTS, key=key)[0].sum()

    def two(variables, key):
        return loss(variables, key), loss(variables, key)

    def fixed(variables):
        return loss(variables, make(7))

    vx.assert_no_key_reuse(net.init, key, INPUTS)
    vx.assert_no_key_reuse(jax.value_and_grad(loss, allow_int=True), variables, key)
    vx.assert_no_key_reuse(lambda p, key, i: loss(p, random.fold_in(key, i)), variables, key, 3)
    assert {each.id for each in vx.debug.key_reuse(two, variables, key)} == {"key-reuse"}
    assert {each.id for each in vx.debug.key_reuse(fixed, variables)} == {"fixed-dropout-key"}
    with pytest.raises(AssertionError, match="random keys must be used once"):
        vx.assert_no_key_reuse(two, variables, key)


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return nn.Dropout(0.5, deterministic=False)(nn.Dense(COLUMNS)(x)), None


class Stack(nn.Module):
    shared_noise: bool

    @nn.compact
    def __call__(self, x):
        splits = {"params": True, "dropout": not self.shared_noise}
        return nn.scan(nn.remat(Block), variable_axes={"params": 0}, split_rngs=splits, length=3)()(x, None)[0]


class Shared(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.vmap(nn.Dense, variable_axes={"params": None}, split_rngs={"params": False})(3)(x)


@pytest.mark.parametrize("shared", [False, True])
def test_a_scanned_flax_module_draws_anew_in_each_layer_or_does_not(shared):
    module, key = Stack(shared), random.key(0)
    variables = jax.eval_shape(module.init, {"params": key, "dropout": key}, INPUTS)

    def loss(variables, key):
        return module.apply(variables, INPUTS, rngs={"dropout": key}).sum()

    findings = vx.debug.key_reuse(loss, variables, key)
    assert [each.id for each in findings] == ["key-reuse"] * shared
    assert all("every iteration of a loop, in Stack" in each.message for each in findings)


def test_weights_that_a_vmapped_module_shares_are_right():
    vx.assert_no_key_reuse(Shared().init, random.key(0), INPUTS)


def test_init_and_a_split_of_the_same_key_are_found():
    def start(key):
        return nn.Dense(3).init(key, INPUTS), random.split(key)

    assert [each.id for each in vx.debug.key_reuse(start, random.key(0))] == ["key-reuse"]


def test_steps_in_a_scan_that_fold_the_step_in_are_right():
    net = network("linen", True, 0.5)
    variables = jax.eval_shape(net.init, random.key(0), INPUTS)
    batch = vx.Batch(INPUTS, jnp.zeros(4, int), jnp.ones(4))
    loss = vx.classification().bind(net)

    def one_step(state, batch):
        key = random.fold_in(state["key"], state["step"])

        def mean_loss(params):
            return loss(state["variables"]._replace(params=params), batch, key).total

        grads = jax.grad(mean_loss)(state["variables"].params)
        params = jax.tree.map(lambda p, g: p - 0.1 * g, state["variables"].params, grads)
        return {**state, "variables": state["variables"]._replace(params=params), "step": state["step"] + 1}

    state = {"variables": variables, "key": random.key(1), "step": jnp.array(0)}
    vx.assert_no_key_reuse(lambda state: jax.lax.scan(lambda s, _: (one_step(s, batch), None), state, length=3), state)
