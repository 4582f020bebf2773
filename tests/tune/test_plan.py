"""Which trials share a program, and which program comes first."""

import optax
import pytest

import verax as vx
from tests.train.cases import DATA
from verax.data import load
from verax.tune._plan import Planner


def experiment(hidden, rate, epochs=2):
    if hidden == 13:
        raise RuntimeError("an unlucky number")
    return vx.Experiment(
        vx.models.MLP((hidden, 3)), vx.classification(), optax.sgd(rate), DATA, batch_size=10, epochs=epochs
    )


@pytest.fixture
def planner():
    examples = {"hidden": [4, 64], "rate": [0.1, 0.2]}
    return Planner(experiment, {}, examples, lambda setting: load(DATA), lambda setting: 6)


def plan(planner, *settings, seeds=1):
    return planner.plan(0, range(len(settings)), settings, [tuple(range(seeds))] * len(settings))


def test_the_longest_program_comes_first(planner):
    tasks = plan(
        planner,
        {"hidden": 4, "rate": 0.1},
        {"hidden": 64, "rate": 0.1},
        {"hidden": 16, "rate": 0.1},
        {"hidden": 4, "rate": 0.2},
    ).tasks
    assert [(task.name, task.numbers) for task in tasks] == [("g0-1", (1,)), ("g0-2", (2,)), ("g0-0", (0, 3))]


def test_work_grows_with_parameters_epochs_trials_and_seeds(planner):
    one, *others = (
        planner.work(task)
        for settings, seeds in [
            ([{"hidden": 4, "rate": 0.1}], 1),
            ([{"hidden": 8, "rate": 0.1}], 1),
            ([{"hidden": 4, "rate": 0.1, "epochs": 4}], 1),
            ([{"hidden": 4, "rate": 0.1}, {"hidden": 4, "rate": 0.2}], 1),
            ([{"hidden": 4, "rate": 0.1}], 2),
        ]
        for task in plan(planner, *settings, seeds=seeds).tasks
    )
    assert 0 < one < others[0]
    assert others[1:] == [2 * one] * 3


def test_a_program_that_cannot_be_made_comes_last(planner):
    plan(planner, {"hidden": 4, "rate": 0.1})
    tasks = plan(planner, {"hidden": 13, "rate": 0.1}, {"hidden": 4, "rate": 0.1}).tasks
    assert [task.settings[0]["hidden"] for task in tasks] == [4, 13]
