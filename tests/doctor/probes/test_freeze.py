"""Weights that are frozen by mistake are found; a backbone that is kept on purpose is not."""

import jax
import numpy as np
import optax
import pytest

from tests.doctor.probes.small import asked, changed, ruled, small, updates_of
from tests.doctor.programs import MLP, ids, subject, suspected
from verax.doctor.probes._freeze import look
from verax.trees import path_text


def freezing(is_frozen, rate=5e-3):
    """Adam for all but what is frozen, chosen by path."""

    def labels(params):
        return jax.tree.map_with_path(lambda path, _: "frozen" if is_frozen(path_text(path)) else "trained", params)

    return optax.partition({"trained": optax.adam(rate), "frozen": optax.set_to_zero()}, labels)


@pytest.mark.parametrize(
    ("is_frozen", "severity"),
    [
        (lambda path: path.endswith("kernel"), "error"),
        (lambda path: True, "error"),
        (lambda path: path == "Dense_0/kernel", "warning"),
    ],
    ids=["kernels", "all", "one kernel"],
)
def test_weights_that_stand_still_are_found(is_frozen, severity):
    seen = asked(look, ruled(freezing(is_frozen)))
    assert ids(seen) == ["unintended-freeze"]
    assert seen.findings[0].severity == severity
    assert seen.findings[0].part == "optimizer"


def test_a_backbone_under_a_head_that_learns_is_meant():
    seen = asked(look, ruled(freezing(lambda path: path.startswith("Dense_0"))))
    assert [finding.severity for finding in seen.findings] == ["info"]


def test_most_of_a_network_behind_a_first_layer_is_doubted_and_freed():
    optimizer = freezing(lambda path: not path.startswith("Dense_0"))
    program = subject(small(network=MLP((4, 16), 1), optimizer=optimizer))
    seen = asked(look, program)
    assert not ids(seen)
    assert suspected(seen) == ["unintended-freeze"]
    params = program.variables.params
    (updates,) = updates_of(changed(program, seen).optimizer, params, [jax.tree.map(np.ones_like, params)])
    assert all(np.all(leaf != 0) for leaf in jax.tree.leaves(updates))


def test_adapters_beside_weights_that_stay_are_meant():
    def apply(params, x):
        layer = params["layer"]
        return x @ (layer["kernel"] + layer["a"] @ layer["b"]) + layer["bias"]

    def init(key, x):
        rng = np.random.default_rng(0)
        shapes = {"kernel": (8, 1), "a": (8, 2), "b": (2, 1), "bias": (1,)}
        return {"layer": {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}}

    seen = asked(look, small(network=(init, apply), optimizer=freezing(lambda path: path.endswith(("kernel", "bias")))))
    assert not ids(seen)
    assert not seen.suspicions


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.MultiSteps(optax.adam(1e-3), 6).gradient_transformation(),
        optax.adam(optax.linear_schedule(0.0, 1e-2, 50)),
        optax.sgd(optax.cosine_decay_schedule(0.1, 180)),
    ],
    ids=["accumulated", "warm-up", "cosine"],
)
def test_steps_of_zero_now_and_then_are_no_freeze(optimizer):
    assert not asked(look, ruled(optimizer)).findings
