"""Gradients summed over the parts of a batch are those of the whole batch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import DATA, LINEAR, experiment
from verax.data import Batch
from verax.findings import InputError
from verax.network import as_network
from verax.train._accumulate import accumulated_gradient, whole_gradient

NETWORK = as_network(LINEAR)
OBJECTIVE = vx.classification(l2=0.1)
MASKS = {"full": np.ones(24), "masked": np.arange(24) % 5 > 0, "one part empty": np.arange(24) >= 8}


def batch(size, weight=None):
    inputs, targets = (jnp.asarray(each[:size]) for each in DATA["train"])
    return Batch(inputs, targets, jnp.ones(size) if weight is None else jnp.asarray(weight, jnp.float32))


def start():
    return NETWORK.init(jax.random.key(0), DATA["train"][0][:2])


def largest_difference(first, second):
    differences = jax.tree.map(lambda one, two: float(abs(one - two).max()), first, second)
    return max(jax.tree.leaves(differences))


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("parts", [2, 3, 5, 24])
def test_the_gradient_is_that_of_the_whole_batch(mask, parts):
    """With rows of weight 0, with parts of unequal weight, and with a shorter last part (24 rows in 5 parts)."""
    loss, variables, rows = OBJECTIVE.bind(NETWORK), start(), batch(24, MASKS[mask])
    key = jax.random.key(1)
    whole = whole_gradient(loss, variables, rows, key)
    summed = accumulated_gradient(loss, variables, rows, key, parts)
    assert largest_difference(whole.grads, summed.grads) < 1e-6
    assert float(summed.weight) == float(whole.weight) == MASKS[mask].sum()
    assert float(summed.total) == pytest.approx(float(whole.total), rel=1e-6)


def test_a_mean_of_means_would_be_another_gradient():
    """The usual mistake, which the test above must be able to see."""
    loss, variables, rows = OBJECTIVE.bind(NETWORK), start(), batch(24, MASKS["masked"])
    key = jax.random.key(1)
    parts = [jax.tree.map(lambda leaf, at=at: leaf[at : at + 8], rows) for at in (0, 8, 16)]
    each = [whole_gradient(loss, variables, part, key).grads for part in parts]
    mean = jax.tree.map(lambda *leaves: sum(leaves) / 3, *each)
    assert largest_difference(whole_gradient(loss, variables, rows, key).grads, mean) > 1e-4


def test_a_run_that_accumulates_ends_where_the_other_does():
    """50 rows in batches of 24: the last batch has 2 rows."""
    at_once = vx.train(experiment(batch_size=24, epochs=3))
    in_parts = vx.train(experiment(batch_size=24, epochs=3, accumulate=4))
    assert largest_difference(at_once.state.variables.params, in_parts.state.variables.params) < 1e-6


def test_each_part_has_its_own_noise():
    """The gradient of a weight that noise is multiplied by is the noise itself."""

    def apply(params, x, key=None):
        return params * jax.random.uniform(key) * jnp.ones(x.shape[0])

    network = as_network((lambda key, x: jnp.float32(1), apply))
    loss = vx.objective_from_loss(lambda outputs, batch: outputs).bind(network)
    variables, key = network.init(jax.random.key(0), None), jax.random.key(1)
    noise = [float(accumulated_gradient(loss, variables, batch(8), key, parts).grads) for parts in (1, 2)]
    assert noise[0] != pytest.approx(noise[1], rel=1e-3)


def test_statistics_go_from_part_to_part():
    """The running mean of two parts is that of two steps."""

    def apply(variables, inputs, key, training):
        mean = variables.model_state["mean"]
        return inputs @ variables.params, {"mean": 0.5 * mean + 0.5 * inputs.mean() if training else mean}

    network = vx.Network(lambda key, x: vx.Variables(jnp.ones((4, 3)), {"mean": jnp.zeros(())}), apply)
    rows = batch(8)._replace(inputs=jnp.repeat(jnp.array([1.0, 3.0]), 4)[:, None] * jnp.ones((8, 4)))
    variables = network.init(jax.random.key(0), rows.inputs)
    after = accumulated_gradient(vx.classification().bind(network), variables, rows, jax.random.key(0), 2)
    assert float(after.model_state["mean"]) == 0.5 * (0.5 * 1.0) + 0.5 * 3.0


def test_accumulation_that_cannot_be_is_refused():
    with pytest.raises(InputError, match="at most batch_size, got 9 parts of 8 rows"):
        experiment(batch_size=8, accumulate=9)
    of_a_batch = vx.objective_from_loss(lambda outputs, batch: outputs.mean(), per_example=False)
    with pytest.raises(InputError, match="a loss of the whole batch cannot be accumulated"):
        experiment(objective=of_a_batch, accumulate=2, optimizer=optax.sgd(0.1))
