"""A study whose process is killed at random moments and begun again each time comes to the same as one that is not."""

import random
import threading

import numpy as np
import optuna
import pytest

import verax as vx
from tests.tune.processes import started
from tests.tune.studies import linear
from verax.tune import Halving

SPACE = {"rate": [0.01, 0.05, 0.1], "width": [2, 3, 4]}
MODES = {
    "grid": {},
    "tpe": {"search": "tpe", "trials": 10},
    "halving": {"pruner": Halving(factor=3, first=2)},
    "tpe with halving": {"search": "tpe", "trials": 10, "pruner": Halving(factor=3, first=2)},
}
PROGRAM = """
import verax as vx
from verax.tune import Halving
from tests.tune.studies import linear
for _ in vx.tune.events(linear, {space}, storage={storage!r}, retrain=0, seconds=0.2, **{mode}):
    print("so far", flush=True)
print("to the end", flush=True)
"""


def ended(program, after):
    """Runs the tuner, kills it some seconds after its first plan, and returns whether it had come to its end."""
    with started(program) as tuner:
        first = tuner.stdout.readline()
        killer = threading.Timer(after, tuner.kill)
        killer.start()
        lines, errors = tuner.communicate()
        killer.cancel()
    assert first == "so far\n", errors
    assert tuner.returncode in (0, -9), errors
    return lines.endswith("to the end\n")


@pytest.mark.parametrize(
    ("mode", "kills"),
    [
        ("tpe with halving", 4),
        *(pytest.param(mode, 20, marks=pytest.mark.slow) for mode in MODES),
    ],
)
def test_a_study_that_is_killed_goes_on(mode, kills, tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"
    # Each experiment takes a moment to be made where it is trained, so that the kills fall within the study.
    program = PROGRAM.format(space=SPACE, storage=storage, mode=MODES[mode])
    moments = random.Random(0)
    unfinished = sum(not ended(program, moments.uniform(0, 2 if kills < 20 else 1)) for _ in range(kills))
    assert unfinished >= kills // 2, "the study came to its end before it was killed often"
    assert ended(program, 600)
    assert_same_as_never_killed(storage, mode)


def assert_same_as_never_killed(storage, mode):
    study = vx.tune(linear, SPACE, retrain=0, **MODES[mode])
    backend = optuna.storages.RDBStorage(storage)
    trials = optuna.load_study(study_name="study", storage=backend).trials
    backend.engine.dispose()
    assert sorted(trial.user_attrs["verax:number"] for trial in trials) == [trial.number for trial in study.trials]
    for kept in trials:
        trial = study.trials[kept.user_attrs["verax:number"]]
        assert kept.params == dict(trial.hyperparameters)
        assert kept.state.name == trial.state.upper()
        assert kept.user_attrs["task"] == trial.task
        # A survivor that begins anew shares its program with fewer: float32 in another order.
        np.testing.assert_allclose(kept.intermediate_values[max(kept.intermediate_values)], trial.value, rtol=1e-5)
