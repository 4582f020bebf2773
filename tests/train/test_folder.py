import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import verax as vx
from tests.train.cases import experiment, same_bits, split
from verax.findings import Finding, InputError, Leaf, Moment, Span, Split
from verax.train import (
    environment,
    finding_from_json,
    finding_to_json,
    load_run,
    read_experiment,
    read_history,
    read_source,
    save_run,
)

SOURCE = """
import numpy as np
import optax
from flax import linen as nn

import verax as vx


class Net(nn.Module):
    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, x, training):
        for width in self.widths:
            x = nn.Dropout(0.1, deterministic=not training)(nn.relu(nn.Dense(width)(x)))
        return nn.BatchNorm(use_running_average=not training)(nn.Dense(3)(x))


def experiment(learning_rate: float = 0.01, widths: tuple[int, ...] = (4,), seed: int = 3):
    return vx.Experiment(
        network=Net(tuple(widths)),
        objective=vx.classification(),
        optimizer=optax.adam(learning_rate),
        data=vx.data.from_npz(DATA).split(test=10, validation=10, calibration=0),
        batch_size=16,
        epochs=2,
        seed=seed + 1,
        stopping=vx.EarlyStopping(),
    )
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A run of a file, with its folder."""
    folder = tmp_path_factory.mktemp("run")
    inputs, targets = split(60, seed=0)
    np.savez(folder / "data.npz", x=inputs, y=targets)
    source = SOURCE.replace("DATA", repr(str(folder / "data.npz")))
    (folder / "experiment.py").write_text(source)
    function = read_source(folder / "experiment.py").function()
    run = vx.train(function, learning_rate=0.05, out=folder / "run")
    return folder / "run", run, function


@pytest.fixture
def copy(written, tmp_path):
    return Path(shutil.copytree(written[0], tmp_path / "run"))


def rewrite(folder, **changes):
    content = json.loads((folder / "experiment.json").read_text())
    (folder / "experiment.json").write_text(json.dumps({**content, **changes}))


def test_a_run_comes_back_from_its_folder(written):
    folder, run, _ = written
    again = load_run(folder)
    assert same_bits(again.state, run.state) and same_bits(again.best, run.best)
    assert same_bits(again.variables, run.variables)
    assert again.findings == run.findings
    assert repr(again.history) == repr(run.history)
    assert (again.stop_reason, again.facts) == (run.stop_reason, run.facts)
    assert dict(again.experiment.hyperparameters) == {"learning_rate": 0.05, "widths": [4], "seed": 3}
    assert (again.experiment.seed, again.experiment.batch_size) == (4, 16)
    assert again.dataset.fingerprint == run.dataset.fingerprint
    assert str(again) == str(run)


def test_the_network_that_comes_back_computes_the_same(written):
    folder, run, _ = written
    again, inputs = load_run(folder), split(5, seed=9)[0]
    outputs = (each.network.apply(each.variables, inputs)[0] for each in (again, run))
    np.testing.assert_array_equal(*outputs)


def test_a_run_does_not_need_the_file_that_made_it(written, tmp_path):
    folder, run, _ = written
    content = read_experiment(folder)
    assert content["source"] == Path(content["source_path"]).read_text()
    assert content["hyperparameters"]["learning_rate"] == 0.05
    moved = Path(shutil.move(content["source_path"], tmp_path / "elsewhere.py"))
    try:
        assert same_bits(load_run(folder).state, run.state)
    finally:
        shutil.move(moved, content["source_path"])


def test_the_folder_says_where_it_was_made(written):
    assert read_experiment(written[0])["environment"] == environment()
    assert {"verax", "jax", "flax", "optax", "python", "device"} <= environment().keys()


def test_the_history_is_written_line_by_line(written):
    folder, run, _ = written
    assert (folder / "history.jsonl").read_text() == run.history.to_jsonl()
    assert repr(read_history(folder)) == repr(run.history)


def test_a_finished_run_can_be_saved_later(written, tmp_path):
    _, run, function = written
    again = load_run(save_run(tmp_path / "later", function, run))
    assert same_bits(again.state, run.state) and same_bits(again.best, run.best)
    assert repr(again.history) == repr(run.history)
    assert [each.name for each in tmp_path.iterdir()] == ["later"]


def test_data_that_have_changed_are_refused(copy):
    rewrite(copy, data_fingerprint="0" * 64)
    with pytest.raises(
        InputError, match=r"the data of .* have changed since it was trained\. Restore them, or train again"
    ):
        load_run(copy)


def test_a_last_line_that_was_cut_off_is_left_out(copy, written):
    file = copy / "history.jsonl"
    whole = file.read_text()
    for cut in (1, 2, 30):
        file.write_text(whole[:-cut])
        assert repr(read_history(copy)) == repr(type(written[1].history)(written[1].history.records[:-1]))


def test_another_line_that_is_damaged_is_an_error(copy):
    lines = (copy / "history.jsonl").read_text().splitlines(keepends=True)
    for line in ("{broken\n", "[]\n", '{"kind": "chunk"}\n'):
        (copy / "history.jsonl").write_text("".join([lines[0], line, *lines[2:]]))
        with pytest.raises(InputError, match=r"history\.jsonl is damaged"):
            read_history(copy)


def test_a_damaged_checkpoint_is_an_error(copy):
    (copy / "checkpoints" / "best" / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"checkpoints/best is damaged"):
        load_run(copy)


def test_a_run_that_did_not_finish_is_refused(copy):
    shutil.rmtree(copy / "checkpoints" / "final")
    with pytest.raises(InputError, match="holds no final state: the run did not finish"):
        load_run(copy)


def test_missing_findings_are_an_error(copy):
    (copy / "findings.json").unlink()
    with pytest.raises(InputError, match=r"findings\.json is missing or damaged"):
        load_run(copy)


@pytest.mark.parametrize("content", ["", "[]", '{"format": 99}'])
def test_a_folder_that_is_no_run_is_refused(tmp_path, content):
    with pytest.raises(InputError, match=r"is not a run folder: experiment\.json is missing"):
        load_run(tmp_path)
    (tmp_path / "experiment.json").write_text(content)
    with pytest.raises(InputError, match=r"experiment\.json (cannot be read|has format (None|99), this Verax reads 1)"):
        load_run(tmp_path)


def test_a_folder_in_use_is_refused_before_anything_is_written_or_computed(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious.txt").write_text("data")
    (tmp_path / "file").write_text("data")
    made = []

    def never():
        made.append(experiment())
        return made[0]

    for folder in ("run", "file"):
        with pytest.raises(InputError, match=r"exists already and is not empty\. Choose another folder for the run"):
            vx.train(never, out=tmp_path / folder)
    assert made == []
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "file",
        "run",
        "run/precious.txt",
    ]


def test_a_bare_value_is_written_but_cannot_be_made_again(tmp_path):
    run = vx.train(experiment(steps=1), out=tmp_path / "run")
    assert repr(read_history(tmp_path / "run")) == repr(run.history)
    with pytest.raises(InputError, match="cannot be made again from disk: its experiment was a bare value"):
        load_run(tmp_path / "run")


def test_a_run_that_is_not_finite_leaves_a_folder_that_says_so(tmp_path):
    import optax

    run = vx.train(experiment(optimizer=optax.sgd(lambda step: np.nan)), out=tmp_path / "run")
    assert run.stop_reason == "not finite at step 1"
    assert repr(read_history(tmp_path / "run")) == repr(run.history)
    found = json.loads((tmp_path / "run" / "findings.json").read_text())
    assert tuple(map(finding_from_json, found)) == run.findings


@pytest.mark.parametrize(
    "place", [None, Leaf("a/b"), Moment(3, 1), Moment(3), Split("train", 7, "age"), Span("model.py", 3)], ids=str
)
def test_a_finding_survives_json(place):
    finding = Finding("an-id", "warning", "what.", "advice.", place, step=12 if isinstance(place, Leaf) else None)
    written = json.loads(json.dumps(finding_to_json(finding)))
    assert finding_from_json(written) == finding
    del written["step"]  # as earlier releases wrote it
    assert finding_from_json(written).step == (place.step if isinstance(place, Moment) else None)
