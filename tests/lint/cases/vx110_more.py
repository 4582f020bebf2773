"""VX110 missing-key-argument: further forms, and look-alikes."""
import jax
import pytest
import functools

import jax.random as jr
import numpy as np
from jax.random import normal
from numpy import random as npr

SHAPE = (2, 3)


def aliased():
    return normal((2,))  # expect: VX110


def float_first():
    return jr.bernoulli(0.5, (3,))  # expect: VX110


def keyword_only():
    return jr.normal(shape=(3,))  # expect: VX110


def named_shape():
    return jr.uniform(SHAPE)  # expect: VX110


def shape_of(x):
    return jr.normal(x.shape)  # expect: VX110


def none():
    return jr.gumbel()  # expect: VX110


def split_nothing():
    return jr.split(num=3)  # expect: VX110


def given(key, kwargs):
    a, b = jr.split(key)
    return jr.normal(a), jr.normal(**kwargs), jr.uniform(key=b, shape=SHAPE)


def bound(key):
    draw = functools.partial(jr.normal, key)
    return draw((3,))


def numpy_draws(rng: np.random.Generator):
    return npr.normal((3,)), rng.normal((3,)), np.random.uniform(0, 1)


def unpacked(pair):
    return jr.normal(*pair)


def own_module(jr):
    return jr.normal((3,))


w = jax.random.normal([3, 3])  # expect: VX110


def test_it_raises():
    with pytest.raises(TypeError):
        jax.random.normal((3,))
