import jax
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import DATA, LINEAR, MLP, data, experiment, init
from verax.train import fingerprint


def standardised(size=50):
    return vx.data.from_arrays(*DATA["train"]).split(test=0, validation=10, calibration=0)


CHANGES = {
    "learning rate": {"optimizer": optax.sgd(0.1000001)},
    "schedule": {"optimizer": optax.sgd(optax.linear_schedule(0.1, 0.0, 100))},
    "optimizer": {"optimizer": optax.adam(0.1)},
    "network": {"network": (init, lambda params, x: x @ params["kernel"])},
    "initialisation": {"network": (lambda key, x: jax.tree.map(lambda leaf: 2 * leaf, init(key, x)), LINEAR[1])},
    "penalty": {"objective": vx.classification(l2=1e-6)},
    "batch size": {"batch_size": 9},
    "epochs": {"epochs": 3},
    "seed": {"seed": 1},
    "remainder": {"remainder": "drop"},
    "decay": {"decay": "all"},
    "stopping": {"stopping": vx.EarlyStopping(patience=3)},
    "data": {"data": data(train=49)},
    "one number of the data": {
        "data": {
            **DATA,
            "train": (np.where(np.arange(200).reshape(50, 4) == 77, 0, DATA["train"][0]), DATA["train"][1]),
        }
    },
    "splits": {"data": standardised()},
    "preprocessing": {"data": standardised().preprocess(vx.data.standardise())},
}


@pytest.fixture(scope="module")
def plain():
    return fingerprint(experiment())


def test_the_same_experiment_made_twice_has_one_fingerprint(plain):
    assert fingerprint(experiment()) == plain
    assert (
        fingerprint(experiment(network=(lambda key, x: init(key, x), lambda params, x: LINEAR[1](params, x)))) == plain
    )


@pytest.mark.parametrize("what", CHANGES)
def test_everything_that_decides_the_result_changes_it(plain, what):
    assert fingerprint(experiment(**CHANGES[what])) != plain


def test_all_changes_differ_from_one_another():
    assert len({fingerprint(experiment(**changes)) for changes in CHANGES.values()}) == len(CHANGES)


@pytest.mark.parametrize("changes", [{"chunk_steps": 7}, {"limits": {"calibration_error": 0.1}}], ids=str)
def test_what_decides_nothing_does_not(plain, changes):
    assert fingerprint(experiment(**changes)) == plain


def test_constants_in_the_network_count_and_may_be_keys():
    def network(constant):
        return LINEAR[0], lambda params, x: LINEAR[1](params, x) + jax.random.normal(constant, (1, 3))

    first, same, other = (fingerprint(experiment(network=network(jax.random.key(seed)))) for seed in (0, 0, 1))
    assert first == same != other


def test_fields_of_a_module_count():
    first, same, rate, width = (
        fingerprint(experiment(network=MLP(hidden, rate))) for hidden, rate in ((8, 0.2), (8, 0.2), (8, 0.3), (9, 0.2))
    )
    assert first == same
    assert len({first, rate, width}) == 3
