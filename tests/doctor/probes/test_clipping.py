"""Clipping that takes nearly everything is suspected where it matters; other clipping is not."""

import numpy as np
import optax
import pytest

from tests.doctor.probes.small import PARAMS, after, asked, changed, gradients, ruled, updates_of
from tests.doctor.programs import suspected
from verax.doctor.probes._clipping import look


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.chain(optax.clip_by_global_norm(1e-3), optax.sgd(0.1)),
        optax.chain(optax.clip_by_global_norm(1e-5), optax.sgd(0.1, momentum=0.9)),
        optax.chain(optax.clip(1e-5), optax.sgd(0.1)),
    ],
    ids=["norm", "momentum", "value"],
)
def test_over_clipping_is_suspected_and_mended(optimizer):
    program = ruled(optimizer)
    seen = asked(look, program)
    assert suspected(seen) == ["over-clipping"]
    assert after(changed(program, seen)) < after(program)


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)),
        optax.chain(optax.clip_by_global_norm(1e-4), optax.adam(1e-3)),
        optax.adam(1e-3),
        optax.adam(1e-3, eps=1e-4),
        optax.sgd(0.1),
        optax.lion(1e-3),
        optax.lars(0.1),
    ],
    ids=["mild", "before adam", "adam", "epsilon", "none", "lion", "lars"],
)
def test_what_clips_little_or_is_free_of_scale_is_not(optimizer):
    assert not asked(look, ruled(optimizer)).suspicions


def test_the_repair_clips_at_the_median_norm():
    program = ruled(optax.chain(optax.clip_by_global_norm(1e-3), optax.sgd(0.1)))
    seen = asked(look, program)
    norm = float(seen.suspicions[0].repairs[0].name.split()[-1])
    grads = gradients(5, 0.1)
    expected = updates_of(optax.chain(optax.clip_by_global_norm(norm), optax.sgd(0.1)), PARAMS, grads)
    for one, other in zip(updates_of(changed(program, seen).optimizer, PARAMS, grads), expected, strict=True):
        np.testing.assert_allclose(one["w"], other["w"], rtol=0.05)  # the name gives two digits
