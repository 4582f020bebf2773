"""An epsilon above the gradients is suspected; rules that are not free of scale at all are not."""

import optax
import pytest

from tests.doctor.probes.small import after, asked, changed, ruled, small
from tests.doctor.programs import binary_loss, suspected
from verax.doctor.probes._epsilon import look


@pytest.mark.parametrize(
    "optimizer",
    [optax.adam(5e-3, eps=1.0), optax.rmsprop(5e-3, eps=10.0), optax.adamw(5e-3, eps=1.0)],
    ids=["adam", "rmsprop", "adamw"],
)
def test_an_epsilon_above_the_gradients_is_suspected_and_mended(optimizer):
    program = ruled(optimizer)
    seen = asked(look, program)
    assert suspected(seen) == ["adam-epsilon-too-large"]
    assert after(changed(program, seen)) < after(program)


def test_a_loss_so_small_that_the_usual_epsilon_is_above_it_is_suspected():
    program = small(loss=lambda outputs, targets: 1e-9 * binary_loss(outputs, targets))
    assert suspected(asked(look, program)) == ["adam-epsilon-too-large"]


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.adam(5e-3),
        optax.adam(5e-3, eps=1e-5),
        optax.sgd(0.1),
        optax.chain(optax.clip_by_global_norm(100.0), optax.sgd(0.1)),
        optax.lion(1e-3),
    ],
    ids=["adam", "1e-5", "sgd", "clipped", "lion"],
)
def test_other_rules_are_not(optimizer):
    assert not asked(look, ruled(optimizer)).suspicions
