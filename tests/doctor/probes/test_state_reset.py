"""An optimizer whose state does not come through its steps is proved; rules that look so are left alone."""

import jax
import jax.numpy as jnp
import optax
import pytest

from tests.doctor.probes.small import asked, ruled
from tests.doctor.programs import ids
from verax.doctor._probe import NotApplicable
from verax.doctor.probes._state_reset import look

ADAM = optax.adam(5e-3)
MOMENTUM = optax.sgd(0.1, momentum=0.9)


def made_anew(inner):
    """Starts every step from a new state."""
    return optax.GradientTransformation(
        inner.init, lambda grads, state, params=None: inner.update(grads, inner.init(params), params)
    )


def not_returned(inner):
    """Gives back the state that it was given."""
    return optax.GradientTransformation(
        inner.init, lambda grads, state, params=None: (inner.update(grads, state, params)[0], state)
    )


def own_rule(forgets):
    """Momentum by hand, in a state of its own kind."""

    def init(params):
        return {"mean": jax.tree.map(jnp.zeros_like, params), "count": jnp.int32(0)}

    def update(grads, state, params=None):
        before = init(params) if forgets else state
        mean = jax.tree.map(lambda mean, grad: 0.9 * mean + grad, before["mean"], grads)
        return jax.tree.map(lambda each: -1e-2 * each, mean), {"mean": mean, "count": before["count"] + 1}

    return optax.GradientTransformation(init, update)


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        (made_anew(ADAM), "ScaleByAdamState) is made anew"),
        (not_returned(ADAM), "ScaleByAdamState) is never given back"),
        (made_anew(MOMENTUM), "TraceState) is made anew"),
        (not_returned(MOMENTUM), "TraceState) is never given back"),
        (made_anew(optax.sgd(optax.cosine_decay_schedule(0.1, 180))), "ScaleByScheduleState) is made anew"),
        (optax.chain(made_anew(optax.scale_by_adam()), optax.scale_by_learning_rate(1e-3)), "is made anew"),
        (own_rule(forgets=True), "(the state) is made anew"),
    ],
    ids=["adam anew", "adam kept", "momentum anew", "momentum kept", "schedule", "one link", "own rule"],
)
def test_a_state_that_is_lost_is_proved(optimizer, said):
    seen = asked(look, ruled(optimizer))
    assert ids(seen) == ["optimizer-state-reset"]
    (finding,) = seen.findings
    assert said in finding.message and finding.severity == "error" and finding.confidence == 1.0


def test_the_count_is_shown():
    (finding,) = asked(look, ruled(made_anew(ADAM))).findings
    assert finding.evidence[0] == "count after each step: 1, 1, 1, 1, 1"
    (finding,) = asked(look, ruled(not_returned(ADAM))).findings
    assert finding.evidence[0] == "count after each step: 0, 0, 0, 0, 0"


def last_gradient():
    """Keeps the last gradient for somebody to look at: nothing reads it, and nothing should."""
    return optax.GradientTransformation(lambda params: params, lambda grads, state, params=None: (grads, grads))


def stopped(inner):
    """Moves nothing, and so need not move its state."""
    return optax.GradientTransformation(
        inner.init, lambda grads, state, params=None: (jax.tree.map(jnp.zeros_like, grads), state)
    )


def kernels(params):
    return jax.tree.map(lambda leaf: "moved" if leaf.ndim > 1 else "still", params)


HEALTHY = {
    "adam": ADAM,
    "no momentum": optax.sgd(0.1, momentum=0.0),
    "no memory": optax.adam(1e-2, b1=0.0, b2=0.0),
    "gathered over 2": optax.MultiSteps(MOMENTUM, 2).gradient_transformation(),
    "gathered over 6": optax.MultiSteps(ADAM, 6).gradient_transformation(),
    "gathered by a chain": optax.chain(optax.apply_every(5), MOMENTUM),
    "hyperparameters": optax.inject_hyperparams(optax.adam)(1e-2),
    "hyperparameters of a rule without state": optax.inject_hyperparams(optax.sgd)(1e-2),
    "skips what is not finite": optax.apply_if_finite(optax.sgd(0.1), 3),
    "schedule-free": optax.contrib.schedule_free_adamw(1e-2),
    "plateau": optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau()),
    "line search": optax.chain(optax.sgd(0.1), optax.scale_by_backtracking_linesearch(10)),
    "quasi-newton": optax.lbfgs(),
    "factored": optax.adafactor(1e-2),
    "optimistic": optax.optimistic_gradient_descent(0.1),
    "parts": optax.partition({"moved": ADAM, "still": optax.set_to_zero()}, kernels),
    "moments of updates that are zero": optax.chain(ADAM, optax.set_to_zero()),
    "own rule": own_rule(forgets=False),
    "a log": optax.chain(last_gradient(), optax.sgd(0.1)),
    "stopped": stopped(ADAM),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_state_that_comes_through_or_need_not_is_left_alone(name):
    assert asked(look, ruled(HEALTHY[name])).findings == ()


def test_a_rule_without_state_is_not_asked():
    with pytest.raises(NotApplicable):
        asked(look, ruled(optax.sgd(0.1)))
