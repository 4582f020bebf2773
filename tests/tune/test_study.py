"""`vx.tune` and its study: what is tried, what chooses, what the winner is worth, what is refused before training."""

import csv
import inspect
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import DATA, LINEAR, REGRESSOR, data, experiment, regression_data
from verax.data import load
from verax.evaluate import Estimate
from verax.findings import InputError
from verax.tune import Plan, Study, Trial, events, tune
from verax.tune._search import proposals
from verax.tune._study import so_far

ROUNDING = 1e-5  # lanes add in another order than a single run


def linear(learning_rate: float = 0.1, l2: float = 0.0, unused: float = 0.0, momentum=None, source=None):
    return experiment(
        optimizer=optax.sgd(learning_rate, momentum=momentum),
        objective=vx.classification(l2=l2),
        data=DATA if source is None else source,
        epochs=2,
    )


SPACE = {"learning_rate": [1e-4, 0.3], "l2": [0.0, 1.0]}


def watched(*arguments, **options):
    """Returns what a study yields, and the study."""
    steps, seen = events(*arguments, **options), []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return seen, end.value


@pytest.fixture(scope="module")
def watched_study():
    return watched(linear, SPACE, seed=2, retrain=3)


@pytest.fixture(scope="module")
def study(watched_study):
    return watched_study[1]


def test_tune_is_a_folder_that_can_be_called():
    assert inspect.signature(vx.tune) == inspect.signature(tune)


def test_every_combination_is_tried_once_in_order(study):
    assert isinstance(study, Study)
    settings = [dict(trial.hyperparameters) for trial in study.trials]
    assert settings == [{"learning_rate": rate, "l2": l2} for rate in (1e-4, 0.3) for l2 in (0.0, 1.0)]
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3]


def test_every_hyperparameter_reaches_its_run(study):
    """Each trial's value is that of a run of its own; all four differ."""
    for trial in study.trials:
        run = vx.train(linear, **trial.hyperparameters, seed=2)
        assert trial.value == pytest.approx(run.history.last("validation/loss"), rel=ROUNDING)
        assert trial.curves["validation/loss"][0] == pytest.approx(
            run.history.series("validation/loss")[1], rel=ROUNDING
        )
    assert len({trial.value for trial in study.trials}) == 4


def test_the_plan_comes_first_and_says_what_is_an_input(watched_study):
    seen, study = watched_study
    assert isinstance(seen[0], Plan) and all(isinstance(each, Trial) for each in seen[1:])
    assert sorted(trial.number for trial in seen[1:]) == [0, 1, 2, 3]
    assert str(seen[0]).splitlines() == [
        "4 trials = 1 program × 4 lanes",
        "  learning_rate: an input of the program",
        "  l2: an input of the program",
    ]
    assert study.facts["plan"] == ["4 trials = 1 program × 4 lanes"]
    assert study.verdicts == seen[0].verdicts


def test_validation_chooses(study):
    assert study.best is min(study.trials, key=lambda trial: trial.value)
    assert dict(study.best.hyperparameters) == {"learning_rate": 0.3, "l2": 0.0}


def test_the_winner_is_trained_anew_with_fresh_seeds(study):
    winner = study.winner
    assert winner.seeds == (3, 4, 5)  # the search had seed 2
    for seed, value in zip(winner.seeds, winner.values, strict=True):
        run = vx.train(linear, **study.best.hyperparameters, seed=seed)
        assert value == pytest.approx(run.history.last("validation/loss"), rel=ROUNDING)
    assert study.best_run.experiment.seed == 3
    assert study.best_run.experiment.hyperparameters["learning_rate"] == 0.3
    assert study.best_run.history.last("validation/loss") == winner.values[0]


def test_luck_is_what_the_search_saw_better_than_fresh_seeds_do(study):
    winner = study.winner
    mean, sd = np.mean(winner.values), np.std(winner.values, ddof=1)
    half = 4.302652729911275 * sd / math.sqrt(3)  # Student's t with 2 degrees of freedom, 97.5 %
    assert winner.value.mean == pytest.approx(Estimate(mean, mean - half, mean + half))
    luck = mean - study.best.value  # of a loss: the search saw less than there is
    assert winner.luck == pytest.approx(Estimate(luck, luck - half, luck + half))


def test_ties_hold_the_winner_and_begin_with_the_simplest():
    """Both widths learn the same; the difference between them is smaller than that between seeds."""

    def wide(width: int = 1, learning_rate: float = 0.3):
        def init(key, x):
            return {**LINEAR[0](key, x), "spare": jnp.ones(width)}

        def apply(params, x):
            return LINEAR[1](params, x) + 1e-4 * params["spare"].sum()

        return experiment(network=(init, apply), optimizer=optax.sgd(learning_rate), epochs=2)

    found = tune(wide, {"width": [4, 1], "learning_rate": [0.3, 1e-5]}, retrain=3)
    parameters = [found.trials[number].parameters for number in found.winner.ties]
    assert found.best.number in found.winner.ties
    assert [found.trials[number].hyperparameters["width"] for number in found.winner.ties] == [1, 4]
    assert parameters == sorted(parameters)


def test_the_test_split_is_scored_once_for_the_winner(study):
    runs = [vx.train(linear, **study.best.hyperparameters, seed=seed) for seed in study.winner.seeds]
    test = runs[0].dataset.examples("test")
    accuracies = [
        vx.evaluate(run.network, run.experiment.objective, run.variables, test).metrics["accuracy"].value
        for run in runs
    ]
    assert study.winner.test["accuracy"].mean.value == pytest.approx(np.mean(accuracies))
    assert study.winner.test["accuracy"].lanes == 3


def test_a_study_reads_best_first_and_is_json(study):
    assert str(study).splitlines()[0].endswith("learning_rate=0.3, l2=0")
    content = json.loads(json.dumps(study.to_json(), allow_nan=False))
    assert content["objective"] == "validation/loss"
    assert content["best"]["hyperparameters"] == {"learning_rate": 0.3, "l2": 0.0}
    assert [trial["value"] for trial in content["trials"]] == [trial.value for trial in study.trials]
    assert content["winner"]["luck"].keys() == {"value", "low", "high"}
    assert len(content["trials"][0]["curves"]["validation/loss"][0]) == 2


def test_a_study_is_a_table_too(study):
    rows = list(csv.DictReader(study.to_csv().splitlines()))
    assert [float(row["validation/loss"]) for row in rows] == [trial.value for trial in study.trials]
    assert [(float(row["learning_rate"]), float(row["l2"])) for row in rows] == [
        (1e-4, 0.0),
        (1e-4, 1.0),
        (0.3, 0.0),
        (0.3, 1.0),
    ]


def test_what_a_stopped_study_knows_is_a_study(study):
    known = so_far([study.trials[3], study.trials[0]], "validation/loss", study.verdicts, {"of": 4})
    assert [trial.number for trial in known.trials] == [0, 3]
    assert known.best is study.trials[3] and known.best_run is None and known.winner is None
    assert known.to_json()["facts"] == {"finished": False, "of": 4}


def test_more_accuracy_is_better_and_without_retraining_there_is_no_run():
    found = tune(linear, {"learning_rate": [0.3, 1e-4]}, objective="validation/accuracy", retrain=0)
    assert found.best.value == max(trial.value for trial in found.trials)
    assert found.best.value > found.trials[1].value
    assert found.best_run is None and found.winner is None


def test_a_model_proposes_a_generation_at_a_time():
    space = {"learning_rate": vx.log_uniform(1e-3, 1.0)}
    for generation, sizes in ((2, [2, 2, 1]), (8, [5])):
        seen, found = watched(linear, space, search="tpe", trials=5, generation=generation, retrain=0)
        assert [sum(len(task.numbers) for task in each.tasks) for each in seen if isinstance(each, Plan)] == sizes
        assert len(found.trials) == 5 and found.facts["generation"] == generation
    seen, found = watched(linear, space, search="random", trials=5, generation=2, retrain=0)
    assert sum(isinstance(each, Plan) for each in seen) == 1 and found.facts["generation"] is None


def test_a_regressor_is_chosen_by_its_root_mean_square():
    def regressor(learning_rate):
        return experiment(
            network=REGRESSOR, objective=vx.regression(), data=regression_data(), optimizer=optax.sgd(learning_rate)
        )

    found = tune(regressor, {"learning_rate": np.logspace(-4, -1, 2)}, objective="validation/rmse", retrain=0)
    assert dict(found.best.hyperparameters) == {"learning_rate": pytest.approx(0.1)}
    assert type(found.best.hyperparameters["learning_rate"]) is float


def test_with_early_stopping_the_value_is_that_of_the_weights_in_use():
    """Stopping watches the loss while the study asks for accuracy: the value is the accuracy of the best loss."""

    def stopping(learning_rate):
        rates = optax.piecewise_constant_schedule(learning_rate, {14: 300.0})
        return experiment(optimizer=optax.sgd(rates), epochs=8, stopping=vx.EarlyStopping(patience=3))

    found = tune(stopping, {"learning_rate": [0.1]}, objective="validation/accuracy", retrain=1)
    for run, value in (
        (vx.train(stopping, learning_rate=0.1, seed=0), found.best.value),
        (found.best_run, found.winner.values[0]),
    ):
        steps, accuracies = run.history.series("validation/accuracy")
        assert value == pytest.approx(accuracies[steps.index(int(run.best.step))])
        assert int(run.best.step) < steps[-1]
    run = vx.train(stopping, learning_rate=0.1, seed=0)
    assert len(found.best.curves["validation/loss"][0]) == len(run.history.series("validation/loss")[0])


def test_a_trial_that_is_not_finite_never_wins():
    found = tune(linear, {"learning_rate": [math.nan, 0.1]}, retrain=0)
    assert math.isnan(found.trials[0].value) and found.trials[0].stop_reason == "not finite by step 2"
    assert found.trials[0].state == "not finite"
    assert found.best is found.trials[1]
    assert found.to_json()["trials"][0]["value"] is None


def test_if_no_trial_stays_finite_that_is_said():
    with pytest.raises(InputError, match=r"none of the 2 trials stayed finite\. Try smaller learning rates"):
        tune(linear, {"learning_rate": [math.nan, math.inf]})


def test_seeds_are_trained_beside_one_another_and_averaged():
    found = tune(linear, {"learning_rate": [0.1, 0.3]}, seeds=2, seed=4, retrain=0)
    for trial in found.trials:
        alone = [
            vx.train(linear, **trial.hyperparameters, seed=seed).history.last("validation/loss") for seed in (4, 5)
        ]
        assert trial.values == pytest.approx(alone, rel=ROUNDING)
        assert trial.value == pytest.approx(np.mean(alone), rel=ROUNDING)


def test_a_seed_that_makes_its_own_data_is_retrained_run_by_run():
    def own_rows(learning_rate: float = 0.1, seed: int = 0):
        rows = np.random.default_rng(seed).permutation(50)
        train = tuple(each[rows] for each in DATA["train"])
        return experiment(optimizer=optax.sgd(learning_rate), data={**DATA, "train": train}, epochs=1)

    winner = tune(own_rows, {"learning_rate": [1e-4, 0.3]}, retrain=2).winner
    alone = [vx.train(own_rows, learning_rate=0.3, seed=seed).history.last("validation/loss") for seed in winner.seeds]
    assert winner.values == pytest.approx(alone, rel=ROUNDING)


def test_a_function_of_any_names_need_not_take_a_seed():
    def without_seed(**chosen):
        return linear(**chosen)

    found = tune(without_seed, {"learning_rate": [1e-4, 0.3]}, retrain=2)
    alone = vx.train(linear, learning_rate=0.3, seed=found.winner.seeds[0])
    assert found.best_run.history.last("validation/loss") == alone.history.last("validation/loss")
    assert found.best_run.experiment.seed == found.winner.seeds[0]


def test_settings_of_jax_hold_in_trials_too():
    """Trials are trained in threads, where a context manager of JAX does not reach by itself."""

    def apply(params, x):
        return LINEAR[1](params, x) * jnp.arange(3)[None]  # float32 and int32, which the tests' settings refuse

    def mixed(learning_rate: float = 0.1):
        return experiment(network=(LINEAR[0], apply), optimizer=optax.sgd(learning_rate), epochs=1)

    with jax.numpy_dtype_promotion("standard"):
        found = tune(mixed, {"learning_rate": [0.1, 0.3]}, retrain=0)
    assert [trial.state for trial in found.trials] == ["complete", "complete"]


@pytest.mark.parametrize(
    ("remainder", "epochs"), [("partial", [1, 1, 2, 2]), ("wrap", [1, 1, 2, 2]), ("drop", [1, 1, 2, 3])]
)
def test_rungs_lie_within_a_training_whose_last_epoch_is_cut(remainder, epochs):
    """Thirteen steps are two epochs of seven, or three of six where the last batch of 2 is dropped."""

    def counted(learning_rate):
        return experiment(optimizer=optax.sgd(learning_rate), steps=13, remainder=remainder)

    found = tune(counted, {"learning_rate": [1e-4, 1e-3, 1e-2, 0.1]}, pruner=vx.Halving(factor=2), retrain=0)
    trained = [len(trial.curves["validation/loss"][0]) for trial in found.trials]
    assert trained == epochs
    assert [trial.state for trial in found.trials] == [
        "complete" if each == max(epochs) else "pruned" for each in epochs
    ]
    run = vx.train(counted, **found.best.hyperparameters, seed=0)
    assert found.best.value == pytest.approx(run.history.last("validation/loss"), rel=ROUNDING)


def test_a_model_is_told_of_pruned_trials_too(monkeypatch):
    told = []

    def recorded(space, search, seed, first, count, known=()):
        told.append(known)
        return proposals(space, search, seed, first, count, known)

    monkeypatch.setattr("verax.tune._running.proposals", recorded)
    space = {"learning_rate": vx.log_uniform(1e-3, 1.0)}
    given = {"search": "tpe", "trials": 8, "generation": 4, "pruner": vx.Halving(factor=2), "retrain": 0}
    found = tune(linear, space, **given)
    assert [trial.state for trial in found.trials[:4]].count("pruned") == 2
    assert [(each.setting, each.value, each.pruned) for each in told[-1]] == [
        (trial.hyperparameters, trial.value, 1 if trial.state == "pruned" else None) for trial in found.trials[:4]
    ]
    again = tune(linear, space, **given)
    assert [trial.hyperparameters for trial in again.trials] == [trial.hyperparameters for trial in found.trials]


# The test split.


def test_the_search_never_shows_the_test_split_to_a_network(monkeypatch):
    """The checks of the data look for labels out of range in every split; nothing else looks at this one."""
    dataset = load(DATA)
    asked = type(dataset).examples

    def guarded(self, split):
        assert split != "test", "the study opened the test split"
        return asked(self, split)

    monkeypatch.setattr(type(dataset), "examples", guarded)
    assert len(tune(linear, {"learning_rate": [0.1, 0.3]}, source=dataset, retrain=0).trials) == 2
    with pytest.raises(AssertionError, match="opened the test split"):
        tune(linear, {"learning_rate": [0.1, 0.3]}, source=dataset, retrain=1)


def test_the_test_split_decides_nothing():
    """Other test data, the same choice and the same numbers."""
    inputs, targets = DATA["test"]
    other = {**DATA, "test": (inputs[::-1].copy(), np.roll(targets, 3))}
    first, second = (tune(linear, {"learning_rate": [0.1, 0.3]}, source=each, retrain=1) for each in (DATA, other))
    assert [trial.value for trial in first.trials] == [trial.value for trial in second.trials]
    assert first.winner.values == second.winner.values
    assert first.winner.test != second.winner.test


def test_without_a_test_split_the_winner_has_no_score():
    source = {name: rows for name, rows in DATA.items() if name != "test"}
    assert tune(linear, {"learning_rate": [0.1, 0.3]}, source=source, retrain=1).winner.test == {}


# Studies that go on.


def test_a_study_goes_on_only_as_the_same_study(tmp_path):
    space = {"learning_rate": [0.1, 0.3]}
    first = watched(linear, space, storage=tmp_path, retrain=0)[1]
    seen, again = watched(linear, space, storage=tmp_path, retrain=0)
    assert (seen[0].known, str(seen[0]).splitlines()[0]) == (2, "2 trials = 1 program × 2 lanes (2 known already)")
    assert [trial.value for trial in again.trials] == [trial.value for trial in first.trials]

    def other(learning_rate: float = 0.1):
        return linear(learning_rate, l2=0.5)

    for arguments, options, what in (
        ((linear, space), {"seed": 1}, "seed 0 and cannot go on with 1"),
        ((linear, {"learning_rate": [0.1, 0.2]}), {}, r"space .* and cannot go on"),
        ((linear, space), {"trials": 1}, "trials 2 and cannot go on with 1"),
        ((other, space), {}, "program and data of digest .* and cannot go on"),
    ):
        with pytest.raises(InputError, match=what):
            tune(*arguments, storage=f"sqlite:///{tmp_path / 'study.db'}", retrain=0, **options)


# What cannot be searched is refused before the first trial.


@pytest.fixture
def no_training(monkeypatch):
    def run_task(*args, **kwargs):
        raise AssertionError("a trial was trained")

    monkeypatch.setattr("verax.tune.executors._local.run_task", run_task)


REFUSED = {
    "unknown": (
        {"learning_rat": [0.1, 0.2]},
        {},
        r"unknown hyperparameter 'learning_rat'\. Did you mean 'learning_rate'",
    ),
    "empty space": ({}, {}, "the space must name at least one hyperparameter with its values, got none"),
    "no values": ({"learning_rate": []}, {}, r"the space must give 'learning_rate' a list of values to try.*got \[\]"),
    "twice": (
        {"learning_rate": [0.1, 0.2, 0.1]},
        {},
        r"the space gives 'learning_rate' a value twice: \[0\.1, 0\.2, 0\.1\]",
    ),
    "text": ({"learning_rate": "0.1"}, {}, "the space must give 'learning_rate' a list of values to try.*got '0.1'"),
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
    "bad seed": ({"learning_rate": [0.1, 0.2]}, {"seed": -1}, "seed must be a whole number of at least 0, got -1"),
    "an unknown search": (
        {"learning_rate": [0.1, 0.2]},
        {"search": "bayes"},
        "search must be one of grid, random, quasi-random, tpe, gp, got 'bayes'",
    ),
    "a grid of intervals": (
        {"learning_rate": vx.log_uniform(1e-4, 1e-1)},
        {"search": "grid"},
        r"a grid needs lists, but 'learning_rate' is log_uniform\(0\.0001, 0\.1\)",
    ),
    "a grid without end": (
        {"learning_rate": list(range(1, 1002)), "l2": list(range(1000))},
        {},
        r"a grid must have at most 100,000 combinations, got 1,001,000 or more\. Give the number of trials, or another",
    ),
    "no executor": ({"learning_rate": [0.1, 0.2]}, {"executor": "slurm"}, "executor must be one of local, processes"),
    "no trials": ({"learning_rate": [0.1, 0.2]}, {"trials": 0}, "trials must be a whole number of at least 1, got 0"),
    "no generation": (
        {"learning_rate": [0.1, 0.2]},
        {"search": "tpe", "generation": 0},
        "generation must be a whole number of at least 1, got 0",
    ),
    "no whole generation": (
        {"learning_rate": [0.1, 0.2]},
        {"generation": True},
        "generation must be a whole number of at least 1, got True",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_searched_is_refused_before_training(no_training, what):
    space, options, message = REFUSED[what]
    with pytest.raises(InputError, match=message):
        tune(linear, space, **options)


@pytest.mark.parametrize("objective", ["validation/accurcy", "test/accuracy", "train/loss"])
def test_an_unknown_objective_is_refused_before_training(no_training, objective):
    with pytest.raises(InputError, match="objective must be one of validation/loss, validation/accuracy, got"):
        tune(linear, {"learning_rate": [0.1, 0.2]}, objective=objective)


def test_a_hyperparameter_that_matters_in_part_of_the_space_is_taken():
    """Momentum changes nothing at the first setting, where none is used."""

    def conditional(use_momentum=False, momentum=0.5):
        return experiment(optimizer=optax.sgd(0.1, momentum=momentum if use_momentum else None), epochs=1)

    found = tune(conditional, {"use_momentum": [False, True], "momentum": [0.5, 0.9]}, retrain=0)
    assert len(found.trials) == 4
    assert found.trials[0].value == found.trials[1].value
    assert found.trials[2].value != found.trials[3].value


def test_a_grid_that_is_too_large_is_refused_before_any_work():
    def untouched(**_):
        raise AssertionError("an experiment was made")

    space = {"a": list(range(10**4)), "b": lambda chosen: [chosen["a"] + each for each in range(1000)]}
    with pytest.raises(InputError, match="at most 100,000 combinations, got 100,001 or more"):
        tune(untouched, space)


def test_a_part_of_a_large_grid_is_tried_without_listing_the_rest():
    asked = []

    def rates(chosen):
        asked.append(chosen)
        return [0.1, 0.3]

    def three(learning_rate, l2=0.0, momentum=0.0):
        return linear(learning_rate, l2, momentum=momentum)

    space = {name: [each / 1000 for each in range(1000)] for name in ("l2", "momentum")} | {"learning_rate": rates}
    found = tune(three, space, trials=3, retrain=0)
    assert [dict(trial.hyperparameters) for trial in found.trials] == [
        {"l2": 0.0, "momentum": momentum, "learning_rate": rate}
        for momentum, rate in ((0.0, 0.1), (0.0, 0.3), (0.001, 0.1))
    ]
    assert len(asked) < 100


def test_every_value_that_is_tried_alone_is_fine():
    assert len(tune(linear, {"unused": [1.0]}, retrain=0).trials) == 1


def test_a_trial_is_json_too():
    assert Trial({"a": 1}, math.inf, 0.5, "because", state="not finite", values=(math.inf,)).to_json() == {
        "number": 0,
        "hyperparameters": {"a": 1},
        "value": None,
        "values": [None],
        "state": "not finite",
        "stop_reason": "because",
        "seconds": 0.5,
        "parameters": 0,
        "task": "",
        "curves": {},
    }
