import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.doctor.programs import HEALTHY, ids, regressor, subject, suspected
from verax.doctor.probes import _reshape

(PROBE,) = _reshape.PROBES


class Steps(nn.Module):
    """Sums over time of a layer by feature; `how` brings (batch, features, time) to (batch, time, features)."""

    how: str

    @nn.compact
    def __call__(self, x):
        if self.how == "reshape":
            x = x.reshape(x.shape[0], 4, 3)
        elif self.how == "transpose":
            x = x.transpose(0, 2, 1)
        else:
            x = x.reshape(x.shape[0], 12)[:, :, None]
        return nn.Dense(1)(nn.relu(nn.Dense(8)(x)).sum(1))


def program(how):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(128, 3, 4)).astype(np.float32)
    return regressor(network=Steps(how), train=(x, x[:, 0].sum(-1)), test=None)


def test_a_reshape_that_exchanges_axes_is_suspected_and_named():
    seen = PROBE.look(subject(program("reshape")))
    assert suspected(seen) == ["scrambling-reshape"] and ids(seen) == []
    finding = seen.suspicions[0].finding
    assert "from (32, 3, 4) to (32, 4, 3)" in finding.message and "(0, 2, 1)" in finding.advice


@pytest.mark.parametrize("how", ["transpose", "flat"])
def test_a_transpose_and_a_flattening_are_left_alone(how):
    assert suspected(PROBE.look(subject(program(how)))) == []


@pytest.mark.parametrize("healthy", HEALTHY)
def test_healthy_programs_are_left_alone(healthy):
    assert suspected(PROBE.look(subject(healthy()))) == []


def test_the_repair_transposes():
    made, right = subject(program("reshape")), subject(program("transpose"))
    (suspicion,) = PROBE.look(made).suspicions
    mended = suspicion.repairs[0].change(made)
    inputs = jnp.asarray(made.train.inputs[:32])
    got, wanted = (each.evaluate(made.variables, inputs, None) for each in (mended, right))
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    trained = mended.forward(made.variables, inputs, made.noise(0))[0]
    np.testing.assert_allclose(trained, wanted, rtol=1e-6)
