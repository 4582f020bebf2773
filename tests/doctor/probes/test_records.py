"""What a finished run left behind: checkpoints, records and an exported model, intact and with planted faults."""

import shutil
from dataclasses import replace

import jax
import numpy as np
import optax
import pytest

import verax as vx
from tests.train.cases import WithNorm, data
from verax.data import Preprocessing
from verax.doctor._probe import NotApplicable
from verax.doctor.probes import _record_checkpoint, _record_export
from verax.export import save

FILES, RECORDS = (probe.look for probe in _record_checkpoint.PROBES)
(EXPORTED,) = (probe.look for probe in _record_export.PROBES)


def raw_data():
    """Inputs in the hundreds, to be standardised."""
    splits = {name: (100 * inputs + 300, targets) for name, (inputs, targets) in data(200, 60, 20).items()}
    return vx.data.from_arrays(train=splits["train"], validation=splits["validation"]).preprocess(vx.data.standardise())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with batch statistics and its folder."""
    experiment = vx.Experiment(
        WithNorm(), vx.classification(), optax.adam(3e-2), raw_data(), batch_size=20, epochs=6, seed=1
    )
    return vx.train(experiment, out=tmp_path_factory.mktemp("runs") / "run")


def ids(seen):
    return [(finding.id, finding.severity) for finding in seen.findings]


MISMATCH = [("checkpoint-mismatch", "error")]


# Checkpoints and records


def test_a_run_as_it_was_written_is_intact(trained):
    assert FILES(trained).findings == () and RECORDS(trained).findings == ()
    assert "recorded" in RECORDS(trained).compared


def test_checkpoints_that_were_exchanged_are_found_with_the_first_leaf(trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained.folder, folder)
    shutil.rmtree(folder / "checkpoints" / "final")
    other = trained.state.replace(variables=jax.tree.map(lambda leaf: leaf + 1, trained.state.variables))
    vx.train.save_state(folder / "checkpoints" / "final", other)
    seen = FILES(replace(trained, folder=folder))
    assert ids(seen) == MISMATCH
    assert str(seen.findings[0].where).startswith("variables/")


def test_a_checkpoint_that_lacks_its_statistics_is_found(trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained.folder, folder)
    shutil.rmtree(folder / "checkpoints" / "best")
    vx.train.save_state(folder / "checkpoints" / "best", trained.state.variables.params)
    seen = FILES(replace(trained, folder=folder))
    assert ids(seen) == MISMATCH and any(
        "model_state" in line or "expected" in line for line in seen.findings[0].evidence
    )


def test_weights_without_their_statistics_do_not_give_the_recorded_loss(trained):
    first = trained.network.init(jax.random.key(0), trained.dataset.examples("train").inputs[:2])
    variables = trained.state.variables._replace(model_state=first.model_state)
    seen = RECORDS(replace(trained, state=trained.state.replace(variables=variables), best=None))
    assert ids(seen) == MISMATCH
    assert str(seen.findings[0].where).startswith("model_state/") and "as it was before" in seen.findings[0].evidence[0]


def test_weights_of_another_run_do_not_give_the_recorded_loss(trained):
    other = vx.train(replace(trained.experiment, seed=7, epochs=1))
    seen = RECORDS(replace(trained, state=trained.state.replace(variables=other.state.variables), best=None))
    assert ids(seen) == MISMATCH and "recorded at their step" in seen.findings[0].message


def test_weights_that_were_rounded_on_the_way_are_intact(trained):
    near = jax.tree.map(lambda leaf: leaf * np.float32(1 + 1e-6), trained.state.variables)
    assert RECORDS(replace(trained, state=trained.state.replace(variables=near), best=None)).findings == ()


@pytest.mark.parametrize("parts", [{"ema": 0.9}, {"precision": "bfloat16"}, {"stopping": vx.EarlyStopping()}], ids=str)
def test_averages_narrow_numbers_and_early_ends_are_intact(trained, parts):
    assert RECORDS(vx.train(replace(trained.experiment, epochs=2, **parts))).findings == ()


def test_runs_of_several_seeds_are_intact(trained):
    for run in vx.train(replace(trained.experiment, epochs=2), seeds=2):
        assert RECORDS(run).findings == ()


def test_a_run_without_folder_or_validation_is_not_asked(trained):
    with pytest.raises(NotApplicable):
        FILES(replace(trained, folder=None))
    with pytest.raises(NotApplicable):
        RECORDS(replace(trained, history=vx.train.History()))


# Exported models


def export(run, folder, preprocessing, name="model.vx"):
    """Exports a run's weights with some preparation, and returns the run with that folder."""
    save(
        folder / name,
        network=run.network,
        objective=run.experiment.objective,
        variables=run.variables,
        preprocessing=preprocessing,
        schema=run.dataset.schema,
    )
    return replace(run, folder=folder)


def test_a_model_that_does_not_prepare_its_inputs_is_found(trained, tmp_path):
    seen = EXPORTED(export(trained, tmp_path, Preprocessing()))
    assert ids(seen) == [("missing-preprocessing-in-export", "error")]
    assert "model.vx does not prepare its inputs (standardise)" in seen.findings[0].message


def test_a_model_that_does_is_not(trained, tmp_path):
    assert EXPORTED(export(trained, tmp_path, trained.dataset.preprocessing)).findings == ()


def test_a_network_that_prepares_by_itself_is_not(trained, tmp_path):
    inner, prepare = trained.network, trained.dataset.preprocessing
    arrays = prepare.arrays
    whole = vx.Network(
        inner.init,
        lambda variables, raw, key, training: inner.apply_fn(variables, prepare.apply(arrays, raw), key, training),
    )
    run = export(replace(trained, network=whole), tmp_path, Preprocessing())
    assert EXPORTED(replace(run, network=inner)).findings == ()


def test_without_a_model_or_preparation_nothing_is_asked(trained, tmp_path):
    with pytest.raises(NotApplicable):
        EXPORTED(replace(trained, folder=tmp_path))


def test_diagnose_says_it(trained):
    other = vx.train(replace(trained.experiment, seed=7, epochs=1))
    swapped = replace(trained, state=trained.state.replace(variables=other.state.variables), best=None, folder=None)
    assert "checkpoint-mismatch" in [each.id for each in vx.diagnose(swapped, fix_seconds=0).alarms]
    found = vx.diagnose(trained, fix_seconds=0)
    assert "checkpoint-mismatch" not in [each.id for each in found.findings]
    verdicts = {probe.name: probe.verdict for probe in found.probes}
    assert verdicts["checkpoints on disk"] == verdicts["weights and records"] == "passed"
