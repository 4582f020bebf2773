"""What a function takes from outside or leaves there, and the look-alikes that are pure."""

# ruff: noqa: NPY002  (the global generator is what is looked for)
import functools
import random
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import verax as vx
from tests.network.five import KINDS, network
from tests.train.cases import COLUMNS

X = jnp.ones(3)
INPUTS = jnp.ones((4, COLUMNS))
HISTORY = []
CALLS = 0
CACHE = {}
GENERATOR = np.random.default_rng(0)
TABLE = np.arange(3.0, dtype=np.float32)


def counts(x):
    global CALLS
    CALLS += 1
    return x


def leaks(x):
    HISTORY.append(x * 2)
    return x


def fills_a_cache(x):
    if "table" not in CACHE:
        CACHE["table"] = np.ones(3, np.float32)
    return x * CACHE["table"]


class Layer:
    def __init__(self):
        self.calls, self.hidden = 0, None

    def counts(self, x):
        self.calls += 1
        return x

    def keeps(self, x):
        self.hidden = jnp.sin(x)
        return x


class Box:
    kept = None

    @classmethod
    def keep(cls, x):
        cls.kept = x
        return x


@jax.jit
def compiled_noise(x):
    return x + np.random.normal()


def scaled_by_calls():
    calls = [0]

    def fn(x):
        calls[0] += 1
        return x * calls[0]

    return fn


FAULTS = {
    "numpy's global generator": (lambda x: x + np.random.normal(), {"unseeded-randomness"}),
    "python's global generator": (lambda x: x + random.random(), {"unseeded-randomness"}),
    "a mask from numpy": (lambda x: x * np.random.rand(3).astype(np.float32), {"unseeded-randomness"}),
    "in a compiled function": (lambda x: compiled_noise(x), {"unseeded-randomness"}),
    "a generator that is closed over": (lambda x: x + GENERATOR.normal(), {"unseeded-randomness"}),
    "a generator without a seed": (lambda x: x + np.random.default_rng().normal(), {"unseeded-randomness"}),
    "the clock": (lambda x: x * (time.time() % 7.0), {"impure-function"}),
    "the day": (lambda x: x * (time.time() // 86400 % 7), {"impure-function"}),
    "a counter": (counts, {"impure-function"}),
    "a counter in the result": (scaled_by_calls(), {"impure-function"}),
    "an attribute": (Layer().counts, {"impure-function"}),
    "a leak into a list": (leaks, {"tracer-leak"}),
    "a leak into an attribute": (Layer().keeps, {"tracer-leak"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_impurity_is_found(name):
    fn, ids = FAULTS[name]
    found = vx.debug.purity(fn, X)
    HISTORY.clear()
    assert {finding.id for finding in found} == ids


def test_an_impure_function_is_refused():
    with pytest.raises(AssertionError, match="must be pure"):
        vx.assert_pure(counts, X)


HEALTHY = {
    "arithmetic": lambda x: jnp.sin(x) + 1.0,
    "a table": lambda x: x * TABLE,
    "a seeded generator of its own": lambda x: x + np.random.default_rng(3).normal(),
    "a cache": fills_a_cache,
    "jax.random": lambda x: x + jax.random.normal(jax.random.key(int(x.shape[0])), x.shape),
    "a partial": functools.partial(jnp.clip, min=0.0),
    "a builtin of jax": jnp.sin,
    "compiled": jax.jit(lambda x: x * 2),
    "a pure callback": lambda x: jax.pure_callback(np.sin, jax.ShapeDtypeStruct((3,), jnp.float32), x),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_what_is_pure_is_left_alone(name):
    CACHE.clear()
    assert vx.debug.purity(HEALTHY[name], X) == ()
    vx.assert_pure(HEALTHY[name], X)


@pytest.mark.parametrize("kind", KINDS)
@jax.numpy_dtype_promotion("standard")  # Haiku's dropout multiplies numbers by truths
def test_networks_of_every_library_are_pure(kind):
    net = network(kind, kind in ("linen", "nnx", "equinox"), 0.5)
    variables = jax.eval_shape(net.init, jax.random.key(0), INPUTS)
    assert vx.debug.purity(lambda v, key: net.apply(v, INPUTS, key=key), variables, jax.random.key(0)) == ()
    noisy = vx.debug.purity(lambda v: net.apply(v, INPUTS + np.float32(np.random.normal())), variables)
    assert [finding.id for finding in noisy] == ["unseeded-randomness"]


def test_the_place_and_the_numbers_are_said():
    def noisy(x):
        return x * np.random.normal()  # the line of the noise

    (finding,) = vx.debug.purity(noisy, X)
    with open(__file__) as file:
        lines = file.read().splitlines()
    assert finding.severity == "error"
    assert "# the line of the noise" in lines[finding.where.line - 1]
    assert finding.message.startswith("the program changes with a global random generator: 1.764")
    assert "jax.random" in finding.advice


def test_what_was_changed_is_named():
    layer = Layer()
    messages = [vx.debug.purity(fn, X)[0].message for fn in (counts, layer.counts, leaks, layer.keeps)]
    HISTORY.clear()
    assert "'CALLS'" in messages[0]
    assert "Layer.calls" in messages[1]
    assert "'HISTORY'" in messages[2]
    assert "Layer.hidden" in messages[3]


def test_a_leak_that_the_function_does_not_name_is_found_by_jax():
    (finding,) = vx.debug.purity(lambda x: Box.keep(x * 2), X)
    Box.kept = None
    assert finding.id == "tracer-leak"


def test_callbacks_are_listed_and_allowed():
    def talks(x):
        jax.debug.print("{}", x)
        return x

    (finding,) = vx.debug.purity(talks, X)
    assert (finding.id, finding.severity) == ("impure-function", "info")
    vx.assert_pure(talks, X)


def test_generators_are_as_before():
    random.seed(5)
    np.random.seed(5)
    python, numpy = [random.random() for _ in range(9)], np.random.normal()
    random.seed(5)
    np.random.seed(5)
    vx.debug.purity(lambda x: x + np.random.normal() + random.random(), X)
    assert np.random.normal() == numpy
    assert random.random() in python  # beartype, which checks annotations in tests, draws some


def test_an_error_of_the_function_itself_passes():
    with pytest.raises(TypeError, match="dot_general"):
        vx.debug.purity(lambda x: x @ jnp.ones((4, 2)), X)


def test_an_nnx_module_as_an_argument_may_update_its_statistics():
    model = nnx.BatchNorm(COLUMNS, rngs=nnx.Rngs(0))

    def apply(state, x):
        module = nnx.merge(graph, state)
        y = module(x)
        return y, nnx.state(module)

    graph, state = nnx.split(model)
    assert vx.debug.purity(apply, state, INPUTS) == ()
