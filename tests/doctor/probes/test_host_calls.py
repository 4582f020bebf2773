"""Calls to the host in a step: a remark, and an alarm where the step is seen to wait for them."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental import io_callback

from tests.doctor.probes.small import asked, small
from tests.doctor.programs import HEALTHY, binary_loss, ids
from verax.doctor._subject import subject_of
from verax.doctor.probes import _purity
from verax.doctor.probes._host_calls import look

ONE = jax.ShapeDtypeStruct((), jnp.float32)


def asked_of_host(call, seconds):
    """A loss that is weighted by what a function on the host returns."""

    def host(_):
        time.sleep(seconds)
        return np.float32(1)

    def loss(outputs, targets):
        return binary_loss(outputs, targets) * call(host, ONE, jax.lax.stop_gradient(outputs.sum()))

    return loss


@pytest.mark.parametrize("call", [jax.pure_callback, io_callback])
def test_a_step_that_waits_is_an_alarm(call):
    seen = asked(look, small(loss=asked_of_host(call, 0.01)))
    assert ids(seen) == ["host-sync"]
    (finding,) = seen.findings
    assert finding.severity == "warning" and "a gradient takes" in finding.evidence[0]
    assert call.__name__ in finding.message and "test_host_calls.py" in str(finding.where)


def test_work_of_the_device_before_a_call_is_not_held_against_it():
    def loss(outputs, targets):
        square = jnp.broadcast_to(outputs.reshape(-1)[:1, None], (900, 900)) + jnp.eye(900)
        heavy = jax.lax.stop_gradient(jnp.linalg.matrix_power(square / 900, 8).sum())
        return binary_loss(outputs, targets) * jax.pure_callback(lambda _: np.float32(1), ONE, heavy)

    seen = asked(look, small(loss=loss))
    assert ids(seen) == [] and [finding.id for finding in seen.findings] == ["host-sync"]


def test_a_call_for_debugging_is_a_remark():
    def loss(outputs, targets):
        jax.debug.callback(lambda _: time.sleep(0.01), outputs.sum())
        return binary_loss(outputs, targets)

    seen = asked(look, small(loss=loss))
    assert ids(seen) == [] and [finding.severity for finding in seen.findings] == ["info"]


def test_a_call_of_the_optimizer_is_found():
    def update(grads, state, params=None):
        jax.debug.callback(lambda _: None, jax.tree.leaves(grads)[0].sum())
        return grads, state

    watched = optax.GradientTransformation(lambda params: optax.EmptyState(), update)
    seen = asked(look, small(optimizer=optax.chain(watched, optax.sgd(0.1))))
    assert [finding.id for finding in seen.findings] == ["host-sync"]


def test_a_call_is_reported_once():
    program = small(loss=asked_of_host(io_callback, 0.0))
    assert asked(_purity.look, subject_of(program)).findings == ()


@pytest.mark.parametrize("program", HEALTHY)
def test_programs_without_calls_are_quiet(program):
    assert asked(look, program()).findings == ()
