"""Wrong hand-written derivatives are found; right ones, and those that differ on purpose, are not."""

import jax
import jax.numpy as jnp
import pytest

from tests.doctor.probes.small import asked, small
from tests.doctor.programs import MLP, binary_loss, ids
from verax.doctor._probe import NotApplicable
from verax.doctor.probes._custom_gradient import look


def swish(slope):
    """A swish whose derivative is written by hand."""

    @jax.custom_vjp
    def own_swish(x):
        return x * jax.nn.sigmoid(x)

    def forward(x):
        return own_swish(x), x

    own_swish.defvjp(forward, lambda x, g: (g * slope(x, jax.nn.sigmoid(x)),))
    return own_swish


def right(x, s):
    return s + x * s * (1 - s)


def wrong(x, s):
    return s * (1 - s)


@jax.custom_jvp
def softplus(x):
    return jnp.log1p(jnp.exp(-jnp.abs(x))) + jnp.maximum(x, 0)


softplus.defjvp(lambda primals, tangents: (softplus(*primals), -tangents[0] * jax.nn.sigmoid(primals[0])))


@jax.custom_vjp
def rounded(x):
    return jnp.round(4 * x) / 4


rounded.defvjp(lambda x: (rounded(x), None), lambda _, g: (g,))


@jax.custom_vjp
def reversed_gradient(x):
    return x


reversed_gradient.defvjp(lambda x: (x, None), lambda _, g: (-0.1 * g,))


def test_a_wrong_rule_in_the_network_is_found():
    seen = asked(look, small(network=MLP((6,), 1, swish(wrong))))
    assert ids(seen) == ["wrong-custom-gradient"]
    finding = seen.findings[0]
    assert finding.part == "model"
    assert finding.confidence == 1.0
    assert "own_swish" in finding.message


def test_a_wrong_rule_in_the_loss_is_found():
    def loss(outputs, targets):
        return softplus(outputs.reshape(-1)) - targets.astype(jnp.float32) * outputs.reshape(-1)

    seen = asked(look, small(loss=loss))
    assert ids(seen) == ["wrong-custom-gradient"]
    assert seen.findings[0].part == "loss"


@pytest.mark.parametrize(
    ("head", "remarks"),
    [(swish(right), 0), (rounded, 1), (reversed_gradient, 1)],
    ids=["right", "straight-through", "reversal"],
)
def test_rules_that_are_right_or_meant_are_passed(head, remarks):
    seen = asked(look, small(network=MLP((6,), 1, head)))
    assert not ids(seen)
    assert len(seen.findings) == remarks


def test_without_a_rule_there_is_nothing_to_check():
    with pytest.raises(NotApplicable):
        asked(look, small(loss=binary_loss))
