"""Batches of ever new shapes are found; a last batch that is smaller, and a few buckets, are not."""

import time

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.doctor.probes.small import asked, ruled, small
from tests.doctor.programs import ids
from verax.doctor.probes._recompilation import look, types, waiting


def in_sizes(sizes_of):
    """A reader whose batches have the sizes that `sizes_of(epoch)` yields, until the rows are used up."""

    def batches(x, y, epoch):
        start, sizes = 0, sizes_of(epoch)
        while start < len(x):
            size = next(sizes)
            yield x[start : start + size], y[start : start + size]
            start += size

    return batches


def random_sizes(epoch):
    rng = np.random.default_rng(epoch)
    while True:
        yield int(rng.integers(10, 90))


def growing(epoch):
    while True:
        yield 16 + epoch


def thirty_two(epoch):
    while True:
        yield 32


def in_buckets(epoch):
    while True:
        yield from (16, 24, 32, 40, 48)


@pytest.mark.parametrize(("sizes", "epochs"), [(random_sizes, 3), (growing, 40)], ids=["random", "growing"])
def test_ever_new_shapes_are_found(sizes, epochs):
    seen = asked(look, small(batches=in_sizes(sizes), epochs=epochs))
    assert ids(seen) == ["recompilation"]
    assert seen.findings[0].part == "batches"


@pytest.mark.parametrize("sizes", [thirty_two, in_buckets], ids=["last batch", "buckets"])
def test_a_few_shapes_are_passed(sizes):
    assert not asked(look, small(batches=in_sizes(sizes), epochs=20)).findings


def test_a_state_that_changes_its_type_is_a_remark():
    def init(params):
        return jnp.zeros((), jnp.float16)

    def update(grads, state, params=None):
        return grads, state.astype(jnp.float32)

    odd = optax.GradientTransformation(init, update)
    seen = asked(types, ruled(optax.chain(odd, optax.sgd(0.1))))
    assert [(finding.id, finding.severity) for finding in seen.findings] == [("dtype-promotion", "info")]
    assert not asked(types, small()).findings


def test_a_slow_reader_is_a_remark():
    def slowly(x, y, epoch):
        for start in range(0, 320, 32):
            time.sleep(0.1)
            yield x[start : start + 32], y[start : start + 32]

    seen = asked(waiting, small(batches=slowly))
    assert [(finding.id, finding.severity) for finding in seen.findings] == [("data-starvation", "info")]
