"""Units that are dead are counted at each moment, alike for silent and saturated ones; healthy ones are not."""

import json

import jax
import jax.numpy as jnp
import numpy as np

from verax.debug import DeadUnits, Weights, dead_units

RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(300, 6)).astype(np.float32)
KERNEL = RANDOM.normal(size=(6, 10)).astype(np.float32)


def network(weights, x):
    hidden = jax.nn.relu(x @ weights["first"] + weights["shift"][None])
    return jnp.tanh(hidden @ weights["second"]) @ jnp.ones((4, 1))


def weights(dead: int, scale: float = 0.1) -> dict[str, jax.Array]:
    """The weights with so many rectifiers silent; a large scale saturates every tanh."""
    shift = np.where(np.arange(10) < dead, -100.0, 0.0).astype(np.float32)
    second = scale * np.ones((10, 4), np.float32)
    return {"first": jnp.asarray(KERNEL), "shift": jnp.asarray(shift), "second": jnp.asarray(second)}


def test_planted_dead_units_are_counted_at_each_moment():
    moments = [Weights("start", 0, weights(0)), Weights("best", 40, weights(3)), Weights("last", 90, weights(10))]
    found = dead_units(network, moments, INPUTS)
    first, second = found
    assert (first.function, first.units, first.dead) == ("relu", 10, (0, 3, 10))
    assert (second.function, second.units, second.dead) == ("tanh", 4, (0, 0, 0))
    assert found.moments == ("start", "best", "last") and found.steps == (0, 40, 90) and found.rows == 256
    assert first.shares == (0.0, 0.3, 1.0) and found.at(1) == (3, 14)


def test_a_unit_that_is_saturated_on_every_row_is_dead():
    held = {**weights(0, scale=1000.0), "shift": jnp.full(10, 5.0)}  # every row wakes some rectifier
    found = dead_units(network, [Weights("start", 0, weights(0)), Weights("last", None, held)], INPUTS)
    assert found.layers[1].dead == (0, 4) and found.layers[0].dead[1] == 0
    assert found.heads == ("start (step 0)", "last")


def test_a_layer_that_is_not_finite_is_not_called_dead_or_alive():
    broken = {**weights(0), "shift": jnp.full(10, jnp.nan)}
    found = dead_units(network, [Weights("start", 0, weights(2)), Weights("last", 5, broken)], INPUTS)
    assert [layer.dead for layer in found] == [(2, None), (0, None)]
    assert found.at(1) == (0, 0)


def test_the_table_survives_json():
    found = dead_units(network, [Weights("start", 0, weights(1)), Weights("last", None, weights(2))], INPUTS, rows=64)
    assert DeadUnits.from_json(json.loads(json.dumps(found.to_json()))) == found and found.rows == 64


def test_a_network_without_hidden_layers_has_none():
    found = dead_units(lambda w, x: x @ w, [Weights("last", 3, jnp.asarray(KERNEL))], INPUTS)
    assert len(found) == 0 and str(found) == "no hidden layer with an activation was found."


def test_a_large_network_is_looked_at_on_fewer_rows():
    wide = jnp.ones((6, 300_000), jnp.float32)
    found = dead_units(lambda w, x: jax.nn.relu(x @ w) @ jnp.ones((300_000, 1)), [Weights("last", 3, wide)], INPUTS)
    assert found.rows == 32
