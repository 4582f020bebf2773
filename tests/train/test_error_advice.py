"""Each error that people meet, made as they make it, and what they are told; the original stays below."""

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from verax.findings import InputError
from verax.train._error_advice import RULES, advice_for
from verax.train._tracing_errors import explained

X = jnp.ones((4, 3))
LEAKED = []


class Dropping(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dropout(0.5, deterministic=False, rng_collection="noise")(x)


class Normed(nn.Module):
    training: bool

    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(not self.training)(x)


VARIABLES = {"params": {"BatchNorm_0": {"bias": jnp.zeros(3), "scale": jnp.ones(3)}}}
STATS = {"batch_stats": {"BatchNorm_0": {"mean": jnp.zeros(3), "var": jnp.ones(3)}}}


DENSE = {"params": {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)}}


def leak():
    jax.eval_shape(LEAKED.append, X)
    return LEAKED.pop() + 1


def donated():
    x = jnp.arange(3.0)
    jax.jit(lambda x: x + 1, donate_argnums=0)(x)
    return x + 1


def without_params():
    tx = optax.chain(optax.add_decayed_weights(1e-3), optax.sgd(1e-3))
    return tx.update({"w": X}, tx.init({"w": X}))


def of_another_model():
    tx = optax.sgd(1e-3, momentum=0.9)
    return tx.update({"w": X, "b": X}, tx.init({"w": X}), {"w": X, "b": X})


CASES = {
    "UnexpectedTracerError": (leak, "return it from the function instead"),
    "NonConcreteBooleanIndexError": (lambda: jax.jit(lambda x: x[x > 0])(X), r"jnp.where\(mask, value, 0\)"),
    "TracerBoolConversionError": (lambda: jax.jit(lambda x: 1 if x.sum() > 0 else 0)(X), "instead of Python's if"),
    "TracerIntegerConversionError": (lambda: jax.jit(lambda n: list(range(n)))(3), "jax.lax.fori_loop"),
    "TracerArrayConversionError": (lambda: jax.jit(lambda x: np.sin(np.asarray(x)))(X), "use jax.numpy"),
    "ConcretizationTypeError": (lambda: jax.jit(lambda x: float(x.sum()))(X), r"leave out float\(\)"),
    "InvalidRngError": (lambda: Dropping().apply({}, X), r"pass rngs=\{'noise': key\}"),
    "ModifyScopeVariableError": (lambda: Normed(True).apply(VARIABLES | STATS, X), r"mutable=\['batch_stats'\]"),
    "ScopeCollectionNotFound": (lambda: Normed(False).apply(VARIABLES, X), r"\{'params': ..., 'batch_stats': ...\}"),
    "ScopeParamShapeError": (lambda: nn.Dense(2).apply(DENSE, X[:, :2]), "made for inputs of another"),
    "RuntimeError: deleted": (donated, "was donated to a compiled function"),
    "MissingRNGError": (lambda: hk.transform(lambda: hk.next_rng_key()).apply({}, None), "Haiku draws random numbers"),
    "RuntimeError: Equinox": (lambda: eqx.nn.Dropout(0.5)(X), "eqx.nn.inference_mode"),
    "ValueError: no params": (without_params, r"tx.update\(grads, opt_state, params\)"),
    "ValueError: trees": (of_another_model, r"opt_state = tx.init\(params\)"),
    "TypeError: product": (lambda: X @ jnp.ones((4, 5)), "the last axis of the left array"),
    "ValueError: broadcast": (lambda: X + jnp.ones((4, 2)), "unlike shapes are combined"),
}


def test_every_rule_has_its_case():
    assert len(CASES) == len(RULES)


@pytest.mark.parametrize("name", CASES)
def test_what_to_do_is_said_with_the_line_and_the_original_below(name):
    fn, advice = CASES[name]
    with pytest.raises(InputError, match=advice) as raised, explained("the loss", {"inputs": X}):
        fn()
    lines = str(raised.value).splitlines()
    assert lines[0] == "the loss fails with inputs float32[4,3]:"
    assert any(line.startswith("  at ") and "test_error_advice.py, line " in line for line in lines)
    assert type(raised.value.__cause__).__name__ == name.partition(":")[0] or ":" in name
    assert raised.value.__cause__.__traceback__ is not None


@pytest.mark.parametrize("error", [KeyError("w"), ValueError("no such file"), RuntimeError("deleted the old run")])
def test_nothing_is_said_of_other_errors(error):
    assert advice_for(error) is None
