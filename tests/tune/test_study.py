import inspect
import json
import math

import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import DATA, data, experiment, regression_data, same_bits
from verax.data import load
from verax.findings import InputError
from verax.tune import Study, Trial, search, trials


def linear(learning_rate: float = 0.1, l2: float = 0.0, seed: int = 0, unused: float = 0.0, momentum=None, source=None):
    return experiment(
        optimizer=optax.sgd(learning_rate, momentum=momentum),
        objective=vx.classification(l2=l2),
        data=DATA if source is None else source,
        seed=seed,
        epochs=2,
    )


SPACE = {"learning_rate": [1e-4, 0.3], "l2": [0.0, 1.0]}


@pytest.fixture(scope="module")
def study():
    return vx.tune(linear, SPACE, seed=2)


def test_tune_is_a_folder_that_can_be_called(study):
    assert isinstance(study, Study)
    assert inspect.signature(vx.tune) == inspect.signature(search)


def test_every_combination_is_tried_once_in_order(study):
    settings = [dict(trial.hyperparameters) for trial in study.trials]
    assert settings == [{"learning_rate": rate, "l2": l2} for rate in (1e-4, 0.3) for l2 in (0.0, 1.0)]


def test_every_hyperparameter_reaches_its_run(study):
    """Each trial's value is that of a run of its own; all four differ."""
    for trial in study.trials:
        run = vx.train(linear, **trial.hyperparameters, seed=2)
        assert trial.value == run.history.last("validation/loss")
        assert trial.stop_reason == run.stop_reason
    assert len({trial.value for trial in study.trials}) == 4


def test_validation_chooses(study):
    assert study.best is min(study.trials, key=lambda trial: trial.value)
    assert dict(study.best.hyperparameters) == {"learning_rate": 0.3, "l2": 0.0}


def test_the_winner_retrained_equals_its_trial(study):
    assert study.best_run.history.last("validation/loss") == study.best.value
    assert same_bits(study.best_run.state, vx.train(linear, **study.best.hyperparameters, seed=2).state)
    assert study.best_run.experiment.hyperparameters["learning_rate"] == 0.3
    assert study.best_run.experiment.seed == 2


def test_a_study_reads_best_first_and_is_json(study):
    assert str(study).splitlines()[0].endswith("learning_rate=0.3, l2=0.0")
    content = json.loads(json.dumps(study.to_json(), allow_nan=False))
    assert content["best"]["hyperparameters"] == {"learning_rate": 0.3, "l2": 0.0}
    assert [trial["value"] for trial in content["trials"]] == [trial.value for trial in study.trials]


def test_trials_can_be_watched(study):
    steps, seen = trials(linear, {"learning_rate": [1e-4, 0.3]}, seed=2), []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            assert end.value.trials == tuple(seen)
            break
    assert [trial.value for trial in seen] == [study.trials[0].value, study.trials[2].value]


def test_more_accuracy_is_better():
    found = vx.tune(linear, {"learning_rate": [0.3, 1e-4]}, metric="validation/accuracy")
    assert found.best.value == max(trial.value for trial in found.trials)
    assert found.best.value > found.trials[1].value
    assert found.best.value == found.best_run.history.last("validation/accuracy")


def test_a_regressor_is_chosen_by_its_root_mean_square():
    def regressor(learning_rate):
        network = (lambda key, x: np.zeros((x.shape[1], 1), np.float32), lambda params, x: x @ params)
        return experiment(
            network=network, objective=vx.regression(), data=regression_data(), optimizer=optax.sgd(learning_rate)
        )

    found = vx.tune(regressor, {"learning_rate": np.logspace(-4, -1, 2)}, metric="validation/rmse")
    assert dict(found.best.hyperparameters) == {"learning_rate": pytest.approx(0.1)}
    assert type(found.best.hyperparameters["learning_rate"]) is float


def test_with_early_stopping_the_value_is_that_of_the_weights_in_use():
    """Stopping watches the loss while the study asks for accuracy: the value is the accuracy of the best loss."""

    def stopping(learning_rate):
        rates = optax.piecewise_constant_schedule(learning_rate, {14: 300.0})
        return experiment(optimizer=optax.sgd(rates), epochs=8, stopping=vx.EarlyStopping(patience=6))

    found = vx.tune(stopping, {"learning_rate": [0.1]}, metric="validation/accuracy")
    run = found.best_run
    steps, accuracies = run.history.series("validation/accuracy")
    assert found.best.value == accuracies[steps.index(int(run.best.step))]
    assert int(run.best.step) < steps[-1]


def test_a_trial_that_is_not_finite_never_wins():
    found = vx.tune(linear, {"learning_rate": [math.nan, 0.1]})
    assert math.isnan(found.trials[0].value) and found.trials[0].stop_reason == "not finite at step 1"
    assert found.best is found.trials[1]
    assert found.to_json()["trials"][0]["value"] is None


def test_if_no_trial_stays_finite_that_is_said():
    with pytest.raises(InputError, match=r"none of the 2 trials stayed finite\. Try smaller learning rates"):
        vx.tune(linear, {"learning_rate": [math.nan, math.inf]})


def test_the_test_split_is_never_shown_to_a_network(monkeypatch):
    """The checks of the data look for labels out of range in every split; nothing else looks at this one."""
    dataset = load(DATA)
    asked = type(dataset).examples

    def guarded(self, split):
        assert split != "test", "the study opened the test split"
        return asked(self, split)

    monkeypatch.setattr(type(dataset), "examples", guarded)
    with pytest.raises(AssertionError, match="opened the test split"):
        dataset.examples("test")
    assert len(vx.tune(linear, {"learning_rate": [0.1, 0.3]}, source=dataset).trials) == 2


def test_the_test_split_decides_nothing():
    """Other test data, the same choice and the same numbers."""
    inputs, targets = DATA["test"]
    other = {**DATA, "test": (inputs[::-1].copy(), np.roll(targets, 3))}
    first, second = (vx.tune(linear, {"learning_rate": [0.1, 0.3]}, source=source) for source in (DATA, other))
    assert [trial.value for trial in first.trials] == [trial.value for trial in second.trials]
    assert same_bits(first.best_run.state, second.best_run.state)


# What cannot be searched is refused before the first trial.


@pytest.fixture
def no_training(monkeypatch):
    def fit(*args, **kwargs):
        raise AssertionError("a trial was trained")

    monkeypatch.setattr("verax.tune._study.fit", fit)


REFUSED = {
    "unknown": (
        {"learning_rat": [0.1, 0.2]},
        {},
        r"unknown hyperparameter 'learning_rat'\. Did you mean 'learning_rate'",
    ),
    "empty space": ({}, {}, "the space must name at least one hyperparameter with its values, got none"),
    "no values": ({"learning_rate": []}, {}, r"the space must give 'learning_rate' a list of values to try, got \[\]"),
    "twice": (
        {"learning_rate": [0.1, 0.2, 0.1]},
        {},
        r"the space gives 'learning_rate' a value twice: \[0\.1, 0\.2, 0\.1\]",
    ),
    "text": ({"learning_rate": "0.1"}, {}, "the space must give 'learning_rate' a list of values to try, got '0.1'"),
    "no effect": ({"unused": [1.0, 2.0]}, {}, r"the hyperparameter 'unused' changes nothing: 1\.0, 2\.0 give the same"),
    "one of two without effect": (
        {"learning_rate": [0.1, 0.2], "unused": [1, 2]},
        {},
        "'unused' changes nothing: 1, 2",
    ),
    "held fixed": (
        {"learning_rate": [0.1, 0.2]},
        {"learning_rate": 0.1},
        "learning_rate cannot be searched and held fixed",
    ),
    "no validation": (
        {"learning_rate": [0.1, 0.2]},
        {"source": data(validation=0)},
        "the data has no validation split",
    ),
    "bad value": ({"seed": [1, -1]}, {}, r"seed must be a whole number in \[0, 2\*\*32\), got -1"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_searched_is_refused_before_training(no_training, what):
    space, fixed, message = REFUSED[what]
    with pytest.raises(InputError, match=message):
        vx.tune(linear, space, **fixed)


@pytest.mark.parametrize("metric", ["validation/accurcy", "test/accuracy", "train/loss"])
def test_an_unknown_metric_is_refused_before_training(no_training, metric):
    with pytest.raises(InputError, match=r"the metric must be one of validation/loss, validation/accuracy, got"):
        vx.tune(linear, {"learning_rate": [0.1, 0.2]}, metric=metric)


def test_a_hyperparameter_that_matters_in_part_of_the_space_is_taken():
    """Momentum changes nothing at the first learning rate, where none is used."""

    def conditional(use_momentum=False, momentum=0.5):
        return experiment(optimizer=optax.sgd(0.1, momentum=momentum if use_momentum else None), epochs=1)

    found = vx.tune(conditional, {"use_momentum": [False, True], "momentum": [0.5, 0.9]})
    assert len(found.trials) == 4


def test_every_value_that_is_tried_alone_is_fine():
    assert len(vx.tune(linear, {"unused": [1.0]}).trials) == 1


def test_a_trial_is_json_too():
    assert Trial({"a": 1}, math.inf, 0.5, "because").to_json() == {
        "hyperparameters": {"a": 1},
        "value": None,
        "seconds": 0.5,
        "stop_reason": "because",
    }
