"""Which hyperparameters are found to be inputs of one program."""

import inspect

import numpy as np
import optax
import pytest
from flax import linen as nn

import verax as vx
from tests.train.cases import DATA, LINEAR, experiment
from verax.data import load
from verax.train._optimizer import with_standard_promotion
from verax.tune._trace import Maker, trace, verdicts

DATASET = load(DATA)


class Net(nn.Module):
    hidden: int
    rate: float

    @nn.compact
    def __call__(self, x, training: bool):
        x = nn.relu(nn.Dense(self.hidden)(x))
        return nn.Dense(3)(nn.Dropout(self.rate, deterministic=not training)(x))


def everything(
    learning_rate=0.1,
    decay=1e-3,
    beta=0.9,
    clip=1.0,
    l2=0.1,
    smoothing=0.1,
    dropout=0.1,
    average=0.9,
    hidden=8,
    layers=1,
    batch=10,
    activation="relu",
    unused=1.0,
    barely=1.0,
    scale=1.0,
):
    inputs, targets = DATA["train"]
    barely * 2
    return vx.Experiment(
        vx.models.MLP((hidden,) * layers + (3,), activation=activation, dropout_rate=dropout),
        vx.classification(l2=l2, label_smoothing=smoothing),
        optax.chain(optax.clip_by_global_norm(clip), optax.adamw(learning_rate, b1=beta, weight_decay=decay)),
        DATA if scale == 1.0 else {**DATA, "train": (inputs * scale, targets)},
        batch_size=batch,
        epochs=1,
        ema=average,
    )


def found(function, values, **setting):
    defaults = {name: each.default for name, each in inspect.signature(function).parameters.items()}
    maker = Maker(function, {}, DATASET)
    known, idle = verdicts(maker, {**defaults, **setting}, values, 50)
    return {name: verdict.form for name, verdict in known.items()}, known, idle


INPUTS = ("learning_rate", "decay", "beta", "clip", "l2", "smoothing", "dropout", "average")


def test_numbers_that_only_enter_the_arithmetic_are_inputs():
    forms, _, idle = found(everything, {name: [0.1, 0.2] for name in INPUTS})
    assert forms == dict.fromkeys(INPUTS, "input")
    assert not idle


def test_what_decides_shapes_names_or_data_makes_a_program_of_its_own():
    values = {"hidden": [8, 16], "layers": [1, 2], "batch": [10, 25], "activation": ["relu", "tanh"]}
    forms, known, _ = found(everything, values)
    assert forms == dict.fromkeys(values, "program")
    assert "test_trace.py" in known["hidden"].line and "MLP((hidden,)" in known["hidden"].line
    assert str(known["hidden"]).startswith("hidden: a program for each value (Python needs its value, at ")
    assert known["activation"].line is None


def test_an_input_that_nothing_uses_is_named():
    _, _, idle = found(everything, {"learning_rate": [0.1, 0.2], "unused": [0.1, 0.2], "barely": [1.0, 2.0]})
    assert idle == {"unused", "barely"}


def scaled_data(scale=1.0, rate=0.1):
    inputs, targets = DATA["train"]
    return experiment(data={**DATA, "train": (inputs * scale, targets)}, optimizer=optax.sgd(rate))


def test_a_hyperparameter_of_the_data_is_no_input():
    """Data are loaded outside the trace: an input that would change them must not be taken for one that does not."""
    forms, _, _ = found(scaled_data, {"scale": [1.0, 2.0], "rate": [0.1, 0.2]})
    assert forms["scale"] in ("data", "program") and forms["rate"] == "input"


def plain_dropout(rate=0.1, learning_rate=0.1):
    return experiment(network=Net(8, rate), optimizer=optax.sgd(learning_rate))


def test_the_line_that_stopped_it_is_the_users():
    forms, known, _ = found(plain_dropout, {"rate": [0.1, 0.5], "learning_rate": [0.1, 0.2]})
    assert forms == {"rate": "program", "learning_rate": "input"}
    assert known["rate"].reason == "Python needs its value"
    assert "nn.Dropout(self.rate" in known["rate"].line


def warmed(peak=0.1, steps=5):
    schedule = optax.warmup_cosine_decay_schedule(0.0, peak, steps, 50, end_value=0.1 * peak)
    return experiment(optimizer=optax.adamw(schedule))


def not_proportional(peak=0.1):
    return experiment(optimizer=optax.adam(optax.warmup_cosine_decay_schedule(0.0, peak, 5, 50, end_value=1e-3)))


def beside_the_optimizer(peak=0.1):
    schedule = optax.warmup_cosine_decay_schedule(0.0, peak, 5, 50)
    return experiment(optimizer=optax.sgd(schedule), objective=vx.classification(l2=peak))


def never_one(peak=0.1):
    assert peak < 1
    return warmed(peak)


def decaying(rate=0.1):
    return experiment(optimizer=optax.sgd(optax.exponential_decay(rate, 10, 0.5)))


def test_a_rate_that_its_schedule_refuses_is_a_factor_of_the_updates():
    forms, _, _ = found(warmed, {"peak": [1e-3, 0.1], "steps": [5, 10]})
    assert forms == {"peak": "scale", "steps": "program"}
    assert found(decaying, {"rate": [1e-3, 0.1]})[0]["rate"] in ("input", "scale")


@pytest.mark.parametrize("function", [not_proportional, beside_the_optimizer, never_one])
def test_a_rate_that_does_more_than_scale_is_no_factor(function):
    assert found(function, {"peak": [1e-3, 0.1]})[0] == {"peak": "program"}


def either(way="linear", strength=0.1):
    if way == "linear":
        return experiment(network=LINEAR, objective=vx.classification(l2=strength))
    return experiment(network=Net(8, strength))


def test_a_verdict_holds_for_its_own_choices():
    assert found(either, {"strength": [0.1, 0.2]}, way="linear")[0] == {"strength": "input"}
    assert found(either, {"strength": [0.1, 0.2]}, way="net")[0] == {"strength": "program"}


def test_a_trace_that_fails_says_why():
    tried = trace(Maker(plain_dropout, {}, DATASET), {"rate": 0.1, "learning_rate": 0.1}, ["rate"])
    assert tried.error is not None and not tried.used


def test_scaled_updates_are_those_of_the_rate():
    """The factor in place of the rate trains the same weights."""
    given, want = warmed(0.03).optimizer, None
    maker = Maker(warmed, {}, DATASET, frozenset(("peak",)))
    got = maker({"peak": 0.03, "steps": 5}).optimizer
    params = {"w": np.ones(3, np.float32)}
    results = []
    for optimizer in map(with_standard_promotion, (given, got)):
        state = optimizer.init(params)
        for step in range(8):
            want, state = optimizer.update({"w": np.array([1.0, -step, 0.5], np.float32)}, state, params)
        results.append(np.asarray(want["w"]))
    assert np.allclose(*results, rtol=1e-5)
