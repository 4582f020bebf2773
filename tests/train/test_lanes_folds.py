"""Folds as lanes: each is the single run on its own data set; what is fitted to the train rows is each lane's own."""

import json
from dataclasses import replace

import jax
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import DATA, REGRESSOR, WithNorm, experiment, regression_data
from tests.train.test_lanes import assert_alike
from verax.data import folds, from_arrays, standardise
from verax.findings import InputError
from verax.train._lanes import train_lanes
from verax.train._runs import score_lanes

INPUTS, TARGETS = DATA["train"]
NUMBERS = regression_data()["train"][1]


def regressor(epochs: int = 2):
    data = from_arrays(10 * INPUTS + 3, 5 * NUMBERS + 7).split(0, 0, 0).preprocess(standardise())
    return experiment(
        network=REGRESSOR,
        objective=vx.regression(standardise=True),
        optimizer=optax.adam(0.1),
        data=data,
        epochs=epochs,
    )


SPLITS = [
    (np.arange(start, start + size) % 50, (start + size) % 50 + np.zeros(1, int))
    for start, size in ((0, 34), (9, 37), (23, 34))
]


@pytest.fixture(scope="module")
def unequal():
    return train_lanes(regressor, folds=SPLITS)


def test_a_fold_of_unequal_size_is_the_single_run_on_its_rows(unequal):
    """All three are one program: the shorter ones have rows of weight 0."""
    alone = vx.train(replace(regressor(), data=unequal[0].dataset))
    ours, theirs = (run.history.series("train/loss", "chunk")[1] for run in (unequal[0], alone))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    for leaf, wanted in zip(jax.tree.leaves(unequal[0].variables), jax.tree.leaves(alone.variables), strict=True):
        np.testing.assert_allclose(leaf, wanted, rtol=1e-4, atol=1e-5)
    assert {run.facts["lanes"] for run in unequal} == {3}


def test_each_fold_has_its_own_inputs_targets_and_scale(unequal):
    for run, (train, test) in zip(unequal, SPLITS, strict=True):
        own = (10 * INPUTS + 3)[train].astype(np.float64)
        expected = ((10 * INPUTS + 3)[test] - own.mean(axis=0)) / own.std(axis=0)
        np.testing.assert_allclose(run.dataset.examples("test").inputs, expected, rtol=1e-4, atol=1e-5)
        mean, std = run.experiment.objective.target_scale
        wanted = (5 * NUMBERS + 7)[train].astype(np.float64)
        np.testing.assert_allclose([mean, std], [wanted.mean(), wanted.std()], rtol=1e-5)


def test_scores_are_in_the_targets_own_units(unequal):
    scores = score_lanes(unequal)
    for run, each, (_, test) in zip(unequal, scores.lanes, SPLITS, strict=True):
        outputs = run.network.apply(run.variables, run.dataset.examples("test").inputs)[0][:, 0]
        mean, std = run.experiment.objective.target_scale
        error = np.asarray(outputs) * std + mean - (5 * NUMBERS + 7)[test]
        np.testing.assert_allclose(each.metrics["rmse"].value, np.sqrt((error**2).mean()), rtol=1e-4)


@pytest.mark.slow
def test_k_folds_hold_every_row_out_once_and_carve_validation():
    data = from_arrays(INPUTS, TARGETS).split(0, 0.25, 0)
    made = experiment(network=WithNorm(), data=data, stopping=vx.EarlyStopping(patience=5))
    runs = train_lanes(made, folds=3)
    assert runs.names == ("fold 0", "fold 1", "fold 2") and runs.seeds == (0, 0, 0)
    assert sorted(np.concatenate([fold.test for fold in runs.folds]).tolist()) == list(range(50))
    expected = folds(data, 3)
    for run, fold in zip(runs, expected, strict=True):
        np.testing.assert_array_equal(run.dataset.raw("validation").inputs, INPUTS[fold.validation])
        np.testing.assert_array_equal(run.dataset.raw("test").targets, TARGETS[fold.test])
    # 50 rows are 17, 17 and 16 to hold out: rows of another number in the last batch are another program
    assert sorted(run.facts["lanes"] for run in runs) == [1, 2, 2]
    assert_alike(runs[2], vx.train(replace(made, data=runs[2].dataset)))


def test_balanced_weights_are_each_folds_own():
    weighted = experiment(
        objective=vx.classification(class_weights="balanced"), data=from_arrays(INPUTS, TARGETS).split(0, 0, 0)
    )
    rows = np.argsort(TARGETS, kind="stable")
    splits = [(rows[5:], rows[:5]), (rows[:-5], rows[-5:])]
    runs = train_lanes(weighted, folds=splits)
    balances = [np.asarray(run.experiment.objective.meaning.balance) for run in runs]
    assert not np.allclose(*balances)
    alone = vx.train(replace(weighted, data=runs[1].dataset))
    ours, theirs = (each.history.series("train/loss", "chunk")[1] for each in (runs[1], alone))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_balanced_weights_of_a_fold_without_a_class_are_refused():
    data = from_arrays(INPUTS, TARGETS).split(0, 0, 0)
    weighted = experiment(objective=vx.classification(class_weights="balanced"), data=data)
    last = max(TARGETS)
    is_last = last == TARGETS
    without, rest = np.flatnonzero(~is_last), np.flatnonzero(is_last)
    every = np.concatenate([rest, without])
    with pytest.raises(InputError, match=r"balance of the task is fitted .* Is a class missing from the train rows"):
        train_lanes(weighted, folds=[(every[: len(without)], every[len(without) :]), (without, rest)])


def test_a_folder_of_folds_holds_their_rows(unequal, tmp_path):
    from verax.train._lanes import save_runs

    save_runs(tmp_path / "runs", regressor, unequal)
    with np.load(tmp_path / "runs" / "folds.npz") as rows:
        np.testing.assert_array_equal(rows["train-1"], SPLITS[1][0])
        assert sorted(rows) == sorted(f"{part}-{number}" for part in ("train", "test") for number in range(3))
    assert json.loads((tmp_path / "runs" / "lanes.json").read_text())["kind"] == "folds"
    with pytest.raises(InputError, match="cannot be made again from disk"):
        vx.train.load_run(tmp_path / "runs" / "fold-0")


def test_rows_outside_the_table_are_refused():
    with pytest.raises(InputError, match=r"folds\[0\] test must be row numbers in \[0, 50\), got 50"):
        train_lanes(regressor, folds=[([0, 1], [50])])
