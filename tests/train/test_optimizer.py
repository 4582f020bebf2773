import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import DATA, experiment, same_bits
from verax.train import decay_weights_only, probe_optimizer
from verax.train._optimizer import texts_for_numbers

PARAMS = {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2), "norm": {"scale": jnp.ones(2)}}
WARMUP = optax.warmup_cosine_decay_schedule(0.0, 1e-3, 1000, 10_000)
MASK = {"kernel": True, "bias": False, "norm": {"scale": False}}

# name: (optimizer, hides NaN or Inf, decays biases, parameters enter by decay alone)
OPTIMIZERS = {
    "sgd": (optax.sgd(0.1), False, False, True),
    "adam": (optax.adam(1e-3), False, False, True),
    "adamw": (optax.adamw(1e-3), False, True, True),
    "tiny": (optax.adamw(1e-9, weight_decay=1e-6), False, True, True),
    "warmup": (optax.adamw(WARMUP), False, True, True),
    "masked": (optax.adamw(1e-3, mask=MASK), False, False, True),
    "clipped": (optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3)), False, True, True),
    "injected": (optax.inject_hyperparams(optax.adamw)(learning_rate=WARMUP), False, True, True),
    "accumulated": (optax.MultiSteps(optax.adamw(1e-3), 4).gradient_transformation(), False, True, True),
    "lamb": (optax.lamb(1e-3, weight_decay=0.01), False, True, False),
    "lamb-warmup": (optax.lamb(WARMUP, weight_decay=0.01), False, True, False),
    "schedule-free": (optax.contrib.schedule_free_adamw(1e-3), False, False, False),
    "adaptive-clip": (optax.chain(optax.adaptive_grad_clip(0.1), optax.sgd(0.1)), False, False, False),
    "zero-nans": (optax.chain(optax.zero_nans(), optax.sgd(0.1)), True, False, True),
    "clip": (optax.chain(optax.clip(1.0), optax.sgd(0.1)), True, False, True),
    "apply-if-finite": (optax.apply_if_finite(optax.adamw(1e-3), 3), True, True, True),
    "lion": (optax.lion(1e-3), True, True, True),
    "noisy": (optax.noisy_sgd(0.1, key=0), False, False, True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_probe_knows_what_optimizers_hide_and_decay(name):
    optimizer, *expected = OPTIMIZERS[name]
    facts = jax.jit(lambda: probe_optimizer(optimizer, PARAMS))()
    assert [bool(facts.hides_nonfinite), bool(facts.decays_all), bool(facts.decay_is_additive)] == expected


def test_a_network_without_parameters_can_be_probed():
    assert not bool(probe_optimizer(optax.adamw(1e-3), {}).decays_all)


@pytest.mark.parametrize("name", ["adamw", "clipped", "accumulated", "lion"])
def test_decay_kept_from_biases_changes_nothing_else(name):
    """Biases and scales move as without any decay, weights as with it."""
    optimizer = OPTIMIZERS[name][0]
    grads = jax.tree.map(lambda leaf: 0.1 * jnp.arange(1.0, leaf.size + 1).reshape(leaf.shape), PARAMS)

    def after_eight(optimizer, params):
        def step(_, carry):
            params, state = carry
            with jax.numpy_dtype_promotion("standard"):
                updates, state = optimizer.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        with jax.numpy_dtype_promotion("standard"):
            return jax.lax.fori_loop(0, 8, step, (params, optimizer.init(params)))[0]

    kept, plain = (
        jax.jit(after_eight, static_argnums=0)(each, PARAMS) for each in (decay_weights_only(optimizer), optimizer)
    )
    assert same_bits(kept["kernel"], plain["kernel"])
    assert not same_bits(kept["bias"], plain["bias"])
    assert not same_bits(kept["norm"], plain["norm"])


ADAMW = {"learning_rate": 0.05, "weight_decay": 0.3}


def trained(optimizer, **changes):
    return vx.train(experiment(optimizer=optimizer, epochs=1, **changes))


@pytest.fixture(scope="module")
def bare():
    return trained(optax.adamw(**ADAMW))


def test_a_bare_adamw_equals_one_with_the_mask_bit_for_bit(bare):
    masked = trained(optax.adamw(**ADAMW, mask=vx.decay_mask))
    assert same_bits(bare.state.variables, masked.state.variables)
    assert [finding.id for finding in bare.findings if "decay" in finding.id] == ["weight-decay-masked"]
    assert not [finding.id for finding in masked.findings if "decay" in finding.id]


def test_decay_of_every_leaf_can_be_asked_for(bare):
    """Then the result is that of Optax alone, whatever the names of the leaves."""
    everything = trained(optax.adamw(**ADAMW), decay="all")
    by_hand = trained(optax.adamw(**ADAMW, mask={"kernel": True, "bias": True}), decay="all")
    assert same_bits(everything.state.variables, by_hand.state.variables)
    assert not same_bits(everything.state.variables.params["bias"], bare.state.variables.params["bias"])
    assert not [finding.id for finding in everything.findings if "decay" in finding.id]


def test_an_optimizer_that_uses_parameters_otherwise_is_left_alone_with_a_warning():
    run = trained(optax.lamb(0.01, weight_decay=0.1))
    (finding,) = [finding for finding in run.findings if "decay" in finding.id]
    assert (finding.id, finding.severity) == ("decay-on-norm-and-bias", "warning")
    assert "mask=vx.decay_mask" in finding.advice
    assert same_bits(run.state.variables, trained(optax.lamb(0.01, weight_decay=0.1), decay="all").state.variables)


def test_a_schedule_of_hyperparameters_in_the_state_trains():
    """`inject_hyperparams` keeps weakly typed numbers in its state."""
    injected = trained(optax.inject_hyperparams(optax.adam)(learning_rate=optax.linear_schedule(0.1, 0.01, 7)))
    plain = trained(optax.adam(optax.linear_schedule(0.1, 0.01, 7)))
    for ours, theirs in zip(*(jax.tree.leaves(run.state.variables) for run in (injected, plain)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4)  # there 1 - 0.999 is a difference of float32
    assert int(injected.state.step) == -(-len(DATA["train"][0]) // 8)


@pytest.mark.parametrize(
    ("optimizer", "names"),
    [
        (lambda: optax.sgd("0.1"), ("step_size",)),
        (lambda: optax.adamw(1e-3, weight_decay="0.1"), ("weight_decay",)),
        (lambda: optax.partition({"a": optax.adam("1e-3"), "b": optax.sgd(0.1)}, {"x": "a"}), ("step_size",)),
        (lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(optax.cosine_decay_schedule(1e-3, 9))), ()),
        (lambda: optax.contrib.reduce_on_plateau(), ()),
    ],
)
def test_numbers_given_as_text_are_seen(optimizer, names):
    assert texts_for_numbers(optimizer()) == names
