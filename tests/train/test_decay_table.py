"""The table says what the optimizer then does."""

import jax
import jax.numpy as jnp
import optax
import pytest

from tests.train.cases import WithNorm
from verax.network import as_network
from verax.train import decay_mask, decay_table
from verax.trees import leaves_by_path


@pytest.fixture(scope="module")
def params():
    return as_network(WithNorm()).init(jax.random.key(0), jnp.ones((2, 4))).params


def test_what_is_said_to_decay_is_moved_by_decay_alone(params):
    optimizer = optax.adamw(1e-2, weight_decay=0.1, mask=decay_mask)
    params = jax.tree.map(jnp.ones_like, params)
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    moved = {path for path, leaf in leaves_by_path(updates).items() if (leaf != 0).any()}
    assert {row.path for row in decay_table(params).rows if row.decays} == moved == {"Dense_0/kernel", "Dense_1/kernel"}


def test_frozen_parameters_do_not_decay(params):
    rows = {row.path: row for row in decay_table(params, freeze=("Dense_0",)).rows}
    assert rows["Dense_0/kernel"].reason == "frozen" and rows["Dense_1/kernel"].decays


def test_counts_and_reasons(params):
    table = decay_table({**params, "scales": jnp.ones(5)})
    assert str(table).splitlines()[-1] == f"{4 * 4 + 4 * 3} of {4 * 4 + 4 * 3 + 4 + 3 + 8 + 5} parameters decay"
    assert {row.reason for row in table.rows} == {"", "named like a bias or a scale", "fewer than two axes"}
    assert [row["path"] for row in table.to_json()][-1] == "scales"
