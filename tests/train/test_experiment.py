import subprocess
import sys
from pathlib import Path

import optax
import pytest
from flax import linen as nn

import verax as vx
from tests.train.cases import experiment
from verax.findings import InputError
from verax.train import resolve

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": None}, "give epochs, steps or seconds"),
        ({"epochs": 2, "steps": 3}, "give epochs or steps, one of them, got epochs=2, steps=3"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"batch_size": True}, "batch_size must be a whole number of at least 1, got True"),
        ({"epochs": -1}, "epochs must be a whole number of at least 1, got -1"),
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"chunk_steps": 0}, "chunk_steps must be a whole number of at least 1, got 0"),
        ({"seed": -1}, r"seed must be a whole number in \[0, 2\*\*32\), got -1"),
        ({"seed": 2**32}, r"seed must be a whole number in \[0, 2\*\*32\), got 4294967296"),
        ({"network": "mlp"}, "network must be a Flax Linen module, .* got str"),
        ({"network": nn.Dense}, "network must be a Flax Linen module"),
    ],
    ids=str,
)
def test_a_field_out_of_its_range_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        experiment(**changes)


# Without the hook that checks annotations in these tests, as a user meets them.
WRONG_KINDS = {
    'remainder="keep"': "remainder must be one of partial, wrap, drop, got 'keep'.",
    'decay="none"': "decay must be one of weights, all, got 'none'.",
    'precision="half"': "precision must be one of float32, bfloat16, float16, got 'half'.",
    "augment=0.5": "augment must be a function (key, batch) -> batch, got float 0.5.",
    'freeze="Conv_0"': "freeze must be a tuple of patterns such as ('Conv_*',), got 'Conv_0'.",
    'seconds="10"': "seconds must be a number above 0, got '10'.",
    "ema=1": "ema must be a decay between 0 and 1, such as 0.999, got 1.",
    'batch_size="8"': "batch_size must be a whole number of at least 1, got '8'.",
    "batch_size=8.0": "batch_size must be a whole number of at least 1, got 8.0.",
    "seed=1.5": "seed must be a whole number in [0, 2**32), got 1.5.",
    "stopping=3": "stopping must be a vx.EarlyStopping or None, got int 3.",
    "objective=vx.regression": "objective must be a vx.Objective such as vx.classification(), got the function "
    "regression; call it. Make one of your own loss with vx.objective_from_loss(fn).",
    "optimizer=optax.adam": "optimizer must be an Optax transformation such as optax.adam(1e-3), got the function "
    "adam; call it.",
    "optimizer=0.1": "optimizer must be an Optax transformation such as optax.adam(1e-3), got float 0.1.",
    "batch_size=np.int64(8), epochs=np.uint8(2), seed=np.int32(5)": "int int int",
}
PLAIN = """
import numpy as np, optax, verax as vx
from tests.train.cases import experiment
for change in {changes!r}:
    try:
        made = eval(f"experiment({{change}})")
        print(type(made.batch_size).__name__, type(made.epochs).__name__, type(made.seed).__name__)
    except vx.InputError as error:
        print(error)
"""


def test_a_field_of_the_wrong_kind_is_refused():
    code = PLAIN.format(changes=list(WRONG_KINDS))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == list(WRONG_KINDS.values())


def make(learning_rate: float, hidden: int = 8):
    return experiment(optimizer=optax.sgd(learning_rate))


def make_with_seed(seed: int = 3):
    return experiment(seed=seed + 1)


def make_open(**everything):
    return experiment(seed=everything.get("seed", 0))


def test_hyperparameters_are_kept_with_their_defaults():
    assert resolve(make, {"learning_rate": 0.5}).hyperparameters == {"learning_rate": 0.5, "hidden": 8}


def test_a_seed_is_always_taken():
    assert resolve(make, {"learning_rate": 0.5, "seed": 9}).seed == 9
    assert resolve(experiment(), {"seed": 9}).seed == 9
    assert resolve(make_with_seed, {"seed": 9}).seed == 10
    assert resolve(make_open, {"seed": 9}).seed == 9


def test_a_finished_experiment_stays_as_it_is():
    made = experiment()
    assert resolve(made, {}) is made


@pytest.mark.parametrize(
    ("function", "given", "message"),
    [
        (make, {}, "the experiment needs a value for learning_rate"),
        (make, {"learning_rate": 0.1, "hiden": 3}, "unknown hyperparameter 'hiden'. Did you mean 'hidden'?"),
        (experiment(), {"learning_rate": 0.1}, "hyperparameters learning_rate were given with a finished Experiment"),
        (lambda: 3, {}, "must return a vx.Experiment, got int"),
    ],
    ids=["missing", "misspelt", "finished", "no experiment"],
)
def test_hyperparameters_that_do_not_fit_are_refused(function, given, message):
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        resolve(function, given)


def test_an_experiment_is_frozen():
    with pytest.raises(AttributeError):
        experiment().seed = 3


def test_two_experiments_are_never_equal():
    """Their identity is the source and the hyperparameters, not the objects in them."""
    assert experiment() != experiment()
    assert isinstance(experiment(), vx.Experiment)
