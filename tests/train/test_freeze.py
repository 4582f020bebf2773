"""Frozen parameters keep their bits, and cost nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import MLP, WithNorm, experiment, same_bits
from verax.findings import InputError
from verax.train import frozen_mask, make_train_step
from verax.train._freeze import frozen_optimizer, kept_state
from verax.train._step import StepOptions
from verax.trees import leaves_by_path


def trained(network, **changes):
    run = vx.train(experiment(network=network, optimizer=optax.adamw(1e-2, weight_decay=0.1), decay="all", **changes))
    start = vx.train.prepare(run.experiment).state
    return start, run.state


@pytest.mark.compiler
def test_frozen_parameters_keep_their_bits_and_the_others_move():
    """Under an optimizer that decays every leaf it sees."""
    start, end = trained(MLP(), freeze=("Dense_0",))
    before, after = leaves_by_path(start.variables.params), leaves_by_path(end.variables.params)
    for path in before:
        assert same_bits(before[path], after[path]) == path.startswith("Dense_0"), path


def test_without_freeze_everything_moves():
    start, end = trained(MLP())
    before, after = leaves_by_path(start.variables.params), leaves_by_path(end.variables.params)
    assert not any(same_bits(before[path], after[path]) for path in before)


def test_the_statistics_of_a_frozen_layer_stand_still():
    start, end = trained(WithNorm(), freeze=("BatchNorm_0", "Dense_0"))
    assert same_bits(start.variables.model_state, end.variables.model_state)
    start, end = trained(WithNorm(), freeze=("Dense_0",))
    assert not same_bits(start.variables.model_state, end.variables.model_state)


def test_the_optimizer_keeps_no_state_of_frozen_leaves():
    params = {"body": jnp.ones(1000), "head": jnp.ones(3)}
    state = frozen_optimizer(optax.adam(1e-3), ("body",)).init(params)
    assert max(leaf.size for leaf in jax.tree.leaves(state)) == 3


def test_a_line_search_sees_the_trained_leaves_alone():
    """L-BFGS on half of a quadratic is L-BFGS on that half by itself, and the frozen half enters the loss."""
    goal = jnp.array([1.0, -2.0, 3.0])

    def value_fn(params):
        return ((params["trained"] * params["frozen"].sum() - goal) ** 2).sum()

    def steps(optimizer, params, value_fn):
        state = optimizer.init(params)
        for _ in range(5):
            value, grad = jax.value_and_grad(value_fn)(params)
            updates, state = optimizer.update(grad, state, params, value=value, grad=grad, value_fn=value_fn)
            params = optax.apply_updates(params, updates)
        return params

    params = {"trained": jnp.zeros(3), "frozen": jnp.array([0.5, 0.25])}
    both = steps(frozen_optimizer(optax.lbfgs(), ("frozen",)), params, value_fn)
    alone = steps(optax.lbfgs(), {"trained": jnp.zeros(3)}, lambda given: value_fn({**params, **given}))
    assert same_bits(both["frozen"], params["frozen"])
    np.testing.assert_allclose(both["trained"], alone["trained"], rtol=1e-6)
    assert value_fn(both) < 1e-6


def test_frozen_gradients_are_not_computed():
    """The compiled step of a frozen first layer has one matrix product fewer: that of its weight gradient."""

    def products(freeze):
        network, options = vx.as_network(MLP()), StepOptions(freeze=freeze)
        optimizer = frozen_optimizer(optax.sgd(0.1), freeze)
        step = make_train_step(network, vx.classification(), optimizer, options=options)
        variables = network.init(jax.random.key(0), jnp.ones((8, 4)))
        state = vx.TrainState(jnp.int32(0), jax.random.key(0), variables, optimizer.init(variables.params))
        rows = vx.Batch(jnp.ones((8, 4)), jnp.zeros(8, jnp.int32), jnp.ones(8))
        return jax.jit(step).lower(state, rows).compile().cost_analysis()["flops"]

    assert products(("Dense_0",)) < products(()) - 2 * 8 * 4 * 8 / 2


@pytest.mark.parametrize(
    ("patterns", "frozen"),
    [
        (("Dense_0",), {"Dense_0/kernel", "Dense_0/bias"}),
        (("*/bias",), {"Dense_0/bias", "Dense_1/bias"}),
        (("Dense_?/kernel",), {"Dense_0/kernel", "Dense_1/kernel"}),
        (("Dense",), set()),
    ],
)
def test_patterns_are_those_of_file_names(patterns, frozen):
    layer = {"kernel": 1.0, "bias": 2.0}
    mask = leaves_by_path(frozen_mask({"Dense_0": layer, "Dense_1": layer}, patterns))
    assert {path for path, is_frozen in mask.items() if is_frozen} == frozen


def test_state_of_another_structure_is_taken_as_it_comes():
    after = {"batch_stats": {"mean": 1.0}}
    assert kept_state({}, after, ("*",), collections=True) == after


def test_a_pattern_means_the_module_and_neither_its_collection_nor_one_of_the_same_name_further_down():
    before, after = ({"bn": {"mean": value}, "encoder": {"bn": {"mean": value}}} for value in (0.0, 1.0))
    kept = kept_state(before, after, ("bn",), collections=False)
    assert kept == {"bn": {"mean": 0.0}, "encoder": {"bn": {"mean": 1.0}}}
    of_linen = [{"batch_stats": {"norm": {"mean": value}}} for value in (0.0, 1.0)]
    assert kept_state(*of_linen, ("ba*",), collections=True) == of_linen[1]
    assert kept_state(*of_linen, ("norm",), collections=True) == of_linen[0]


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        (("Conv_*",), r"'Conv_\*' matches no parameter. They are: Dense_0/bias, Dense_0/kernel"),
        (("Dense_*",), "match all 4 parameters: nothing is left to train"),
        ("Dense_0", "must be a tuple of patterns"),
    ],
)
def test_patterns_that_cannot_be_meant_are_refused(freeze, message):
    with pytest.raises(InputError, match=message):
        vx.train(experiment(network=MLP(), freeze=freeze))
