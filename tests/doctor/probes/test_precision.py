"""Half precision that overflows, sums badly or rounds updates away is found; half precision that does is passed."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen as nn

from tests.doctor.probes.small import asked, small
from tests.doctor.programs import ids
from verax.doctor._probe import NotApplicable
from verax.doctor.probes._precision import look, lost_updates


class Half(nn.Module):
    """A perceptron in half precision; its hidden units are passed on by `use`."""

    dtype: jnp.dtype
    use: Any = None
    param_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(16, dtype=self.dtype, param_dtype=self.param_dtype)(x.astype(self.dtype))
        x = nn.relu(x) if self.use is None else self.use(x)
        return nn.Dense(1, dtype=self.dtype, param_dtype=self.param_dtype)(x).astype(jnp.float32)


def squares(x):
    return jnp.sqrt((300 * x) ** 2 + 1) / 300


def running_sum(x):
    """Many small terms, added one by one to a sum in the type of the input."""
    terms = jnp.full((4096,), 1 / 512, x.dtype)
    total, _ = jax.lax.scan(lambda total, term: (total + term, None), jnp.zeros((), x.dtype), terms)
    return jnp.tanh(x) + total


def test_numbers_beyond_float16_are_found():
    seen = asked(look, small(network=Half(jnp.float16, squares)))
    assert ids(seen) == ["low-precision-overflow"]
    assert seen.findings[0].part == "model"


def test_a_sum_that_stands_still_is_found():
    seen = asked(look, small(network=Half(jnp.bfloat16, running_sum)))
    assert ids(seen) == ["low-precision-accumulation"]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_ordinary_half_precision_is_passed(dtype):
    assert not asked(look, small(network=Half(dtype))).findings


def test_updates_that_are_rounded_away_are_found():
    network = Half(jnp.bfloat16, param_dtype=jnp.bfloat16)
    seen = asked(lost_updates, small(network=network, optimizer=optax.adam(1e-5)))
    assert ids(seen) == ["low-precision-accumulation"]
    assert seen.findings[0].part == "model"


def test_updates_that_are_large_enough_are_kept():
    network = Half(jnp.bfloat16, param_dtype=jnp.bfloat16)
    assert not asked(lost_updates, small(network=network, optimizer=optax.adam(1e-2))).findings


def test_float32_is_not_asked():
    for probe in (look, lost_updates):
        with pytest.raises(NotApplicable):
            asked(probe, small())
