"""Updates that climb are found; what climbs on purpose is not."""

import jax
import optax
import pytest

from tests.doctor.probes.small import asked, ruled, small
from tests.doctor.programs import binary_loss, ids
from verax.doctor.probes._update import look


def kernels(params):
    return jax.tree.map(lambda leaf: leaf.ndim == 2, params)


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.sgd(-0.1),
        optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(), optax.scale(1e-3)),
        optax.chain(optax.adam(1e-3), optax.scale(-1.0)),
        optax.masked(optax.adam(1e-3), lambda params: jax.tree.map(lambda keep: not keep, kernels(params))),
    ],
    ids=["sgd", "parts", "twice", "masked"],
)
def test_updates_that_climb_are_found(optimizer):
    seen = asked(look, ruled(optimizer))
    assert ids(seen) == ["update-sign-error"]
    assert seen.findings[0].part == "optimizer"
    assert seen.findings[0].severity == "error"


def test_a_mask_that_passes_gradients_on_is_told_so():
    finding = asked(look, ruled(optax.masked(optax.adam(1e-3), kernels))).findings[0]
    assert "optax.masked" in finding.advice
    assert str(finding.where).endswith("bias")


def test_an_objective_that_is_maximised_is_climbed_by_right():
    seen = asked(look, small(loss=lambda outputs, targets: -binary_loss(outputs, targets), optimizer=optax.sgd(-0.1)))
    assert not ids(seen)
    assert seen.findings[0].severity == "info"


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.adamw(1e-3, weight_decay=50.0),
        optax.MultiSteps(optax.adam(1e-3), 4).gradient_transformation(),
        optax.lion(1e-3),
        optax.adam(optax.linear_schedule(0.0, 1e-2, 50)),
    ],
    ids=["decay", "accumulated", "lion", "warm-up"],
)
def test_what_only_looks_so_is_passed(optimizer):
    assert not asked(look, ruled(optimizer)).findings
