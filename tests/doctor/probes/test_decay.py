"""Decay that outweighs the data is suspected; ordinary decay is not."""

import numpy as np
import optax
import pytest

import verax as vx
from tests.doctor.probes.small import PARAMS, asked, changed, gradients, ruled, small, updates_of
from tests.doctor.programs import MLP, digits, ids, suspected
from verax.doctor._subject import subject_of
from verax.doctor.probes._decay import look


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.adamw(1e-3, weight_decay=30.0),
        optax.chain(optax.add_decayed_weights(2.0), optax.sgd(0.1)),
    ],
    ids=["adamw", "sgd"],
)
def test_decay_that_outweighs_the_data_is_suspected(optimizer):
    seen = asked(look, ruled(optimizer))
    assert suspected(seen) == ["excessive-weight-decay"]
    assert seen.suspicions[0].finding.part == "optimizer"


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.adamw(5e-3),
        optax.adamw(5e-3, weight_decay=0.1),
        optax.chain(optax.add_decayed_weights(5e-4), optax.sgd(0.1, momentum=0.9)),
        optax.adam(5e-3),
        optax.contrib.schedule_free_adamw(5e-3),
        optax.lamb(1e-3),
    ],
    ids=["adamw", "0.1", "l2", "none", "schedule-free", "lamb"],
)
def test_ordinary_decay_is_not(optimizer):
    assert not asked(look, ruled(optimizer)).suspicions


def test_decay_of_biases_is_a_remark():
    seen = asked(look, small(network=MLP((6,), 1, lambda x: x), optimizer=optax.adamw(5e-3)))
    assert not ids(seen)


def test_the_repair_leaves_the_rest_of_the_rule_alone():
    program = ruled(optax.adamw(1e-2, weight_decay=30.0))
    seen = asked(look, program)
    grads = gradients(5)
    expected = updates_of(optax.adam(1e-2), PARAMS, grads)
    for one, other in zip(updates_of(changed(program, seen).optimizer, PARAMS, grads), expected, strict=True):
        np.testing.assert_allclose(one["w"], other["w"], rtol=1e-5)


@pytest.mark.parametrize(("penalty", "suspicious"), [(1.0, True), (1e-5, False)])
def test_a_penalty_in_the_objective_is_weighed_too(penalty, suspicious):
    (inputs, targets), _ = digits()
    experiment = vx.Experiment(
        network=MLP(),
        objective=vx.classification(l2=penalty),
        optimizer=optax.adam(1e-3),
        data=vx.data.from_arrays(inputs, targets),
        batch_size=64,
        epochs=2,
    )
    seen = asked(look, experiment)
    assert suspected(seen) == ["excessive-weight-decay"] * suspicious
    if suspicious:
        assert seen.suspicions[0].repairs[0].change(subject_of(experiment)).penalty is None
