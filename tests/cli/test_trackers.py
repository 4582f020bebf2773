"""`verax train` with `--tensorboard`, `--wandb`, `--mlflow`, `--seeds` and `--folds`."""

import json
import sys

import pytest

import verax as vx
from verax.cli import main
from verax.report._writers import scalars


def test_event_files_are_written_while_it_trains(blobs, tmp_path, capsys):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    folder = tmp_path / "run"
    assert main(["train", str(blobs), "--epochs", "2", "--tensorboard", "--out", str(folder)]) == 0
    (path,) = folder.glob("events.out.tfevents.*")
    content, at, found = path.read_bytes(), 0, {}
    while at < len(content):
        length = int.from_bytes(content[at : at + 8], "little")
        event = Event.FromString(content[at + 12 : at + 12 + length])
        found |= {(each.tag, event.step): each.simple_value for each in event.summary.value}
        at += 16 + length
    history = vx.train.read_history(folder)
    expected = {(each.name, each.step): each.value for record in history for each in scalars(record)}
    assert len(expected) > 12  # a loss a step, and each epoch's metrics
    assert {place: found[place] for place in expected} == pytest.approx(expected)


def test_a_missing_library_is_said_before_anything_is_trained(blobs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for option, library in ((["--wandb", "x"], "wandb"), (["--mlflow", "sqlite:///x.db"], "mlflow")):
        monkeypatch.setitem(sys.modules, library, None)
        assert main(["train", str(blobs), *option]) == 2
        assert f"Run: pip install 'verax[{library}]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def seeds(blobs, tmp_path_factory):
    """Three seeds trained by the command: what it said, the folder, and the runs themselves."""
    import verax.train._lanes as lanes

    folder, said, made = tmp_path_factory.mktemp("seeds") / "runs", [], []
    train_lanes = lanes.train_lanes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            lanes, "train_lanes", lambda *given, **named: made.append(train_lanes(*given, **named)) or made[0]
        )
        patch.setattr("verax.cli._train.say_json", said.append)
        words = ["--seeds", "3", "--epochs", "2", "--tensorboard", "--json", "--out", str(folder)]
        assert main(["train", str(blobs), *words]) == 0
    return json.loads(json.dumps(said[0], allow_nan=False)), folder, made[0]


def test_seeds_are_trained_as_one_program_with_a_folder_each(seeds):
    pytest.importorskip("tensorboardX")
    content, folder, _ = seeds
    assert content["run"] == str(folder)
    assert [run["seed"] for run in content["runs"]] == [0, 1, 2]
    accuracy = content["summary"]["last"]["validation/accuracy"]
    each = [run["last"]["validation/accuracy"] for run in content["runs"]]
    assert accuracy["value"] == pytest.approx(sum(each) / 3)
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"] and accuracy["sd"] >= 0
    assert sorted(path.name for path in folder.iterdir()) == ["lanes.json", "seed-0", "seed-1", "seed-2"]
    assert len(list(folder.glob("seed-*/events.out.tfevents.*"))) == 3
    run = vx.train.load_run(folder / "seed-1")
    assert run.experiment.seed == 1
    assert run.history.last("validation/accuracy") == each[1]


def test_seeds_print_mean_interval_and_deviation(seeds, blobs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("verax.train._lanes.train_lanes", lambda *given, **named: seeds[2])
    assert main(["train", str(blobs), "--seeds", "3", "--out", str(tmp_path / "runs")]) == 0
    said = capsys.readouterr().out
    assert "3 lanes" in said and "mean [95 % interval]" in said and "sd" in said
    assert "last validation/accuracy" in said
    assert f"next: verax certify {tmp_path / 'runs' / 'seed-0'}" in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--seeds", "0"], "seeds must be at least one"),
        (["--seeds", "2", "--seed", "3"], "give seed or seeds, not both"),
        (["--seeds", "2", "--folds", "3"], "give seeds or folds, one of them"),
    ],
)
def test_seeds_that_cannot_be_are_refused(words, expected, blobs, tmp_path, capsys):
    assert main(["train", str(blobs), *words, "--out", str(tmp_path / "runs")]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_folds_are_scored_on_the_rows_held_out(blobs, tmp_path, capsys):
    folder = tmp_path / "runs"
    assert main(["train", str(blobs), "--folds", "3", "--epochs", "2", "--json", "--out", str(folder)]) == 0
    content = json.loads(capsys.readouterr().out)
    assert sorted(each["name"] for each in content["runs"]) == ["fold 0", "fold 1", "fold 2"]
    scores = content["held_out"]
    each = [lane["metrics"]["accuracy"]["value"] for lane in scores["lanes"]]
    assert scores["metrics"]["accuracy"]["value"] == pytest.approx(sum(each) / 3)
    assert [lane["examples"] for lane in scores["lanes"]] == [80, 80, 80]


def test_a_folder_of_lanes_is_shown_and_asks_for_one_of_them(seeds, capsys):
    _, folder, _ = seeds
    assert main(["show", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "3 runs of one program: seed-0, seed-1, seed-2" in said and "validation/accuracy" in said
    assert main(["show", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["folders"] == ["seed-0", "seed-1", "seed-2"]
    assert main(["evaluate", str(folder)]) == 2
    assert f"holds 3 runs. Name one of them, such as {folder / 'seed-0'}" in capsys.readouterr().err


def test_a_damaged_summary_of_lanes_is_said(tmp_path, capsys):
    (tmp_path / "lanes.json").write_text("{}")
    assert main(["show", str(tmp_path)]) == 2
    assert "lanes.json cannot be read. It is damaged" in capsys.readouterr().err
