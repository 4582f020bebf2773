"""`verax train`, and `show` of what it leaves."""

import json
import os
import sys
from pathlib import Path

import pytest

import verax as vx
from tests.cli.terminal import said_on_a_terminal
from verax.cli import main
from verax.cli._arguments import parse


def test_a_run_folder_is_what_train_says(run_folder):
    assert {"experiment.json", "history.jsonl", "findings.json", "checkpoints"} <= set(os.listdir(run_folder))
    run = vx.train.load_run(run_folder)
    assert run.experiment.hyperparameters["hidden"] == 8
    assert int(run.state.step) == run.facts["steps"]


def test_options_reach_the_experiment(blobs, tmp_path, capsys):
    words = [
        "--hidden",
        "4",
        "--learning_rate",
        "1e-2",
        "--epochs",
        "1",
        "--center",
        "true",
        "--kind",
        "sgd",
        "--seed",
        "7",
        "--json",
    ]
    assert main(["train", str(blobs), *words, "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr()
    summary = json.loads(said.out)
    wanted = {"hidden": 4, "learning_rate": 1e-2, "epochs": 1, "center": True, "kind": "sgd", "seed": 7}
    assert wanted.items() <= summary["hyperparameters"].items()
    assert summary["run"] == str(tmp_path / "run")
    assert 0 <= summary["metrics"]["validation/accuracy"] <= 1
    assert "epoch" in said.err  # progress does not mix with the result


def test_piped_progress_is_plain_lines_with_loss_metric_rate_and_time(blobs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(blobs), "--epochs", "90"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert 10 <= len(lines) <= 20
    assert len({line.split("step")[0] for line in lines}) == len(lines)
    assert "\r" not in "".join(lines)
    for word in ("loss", "validation loss", "validation accuracy", "steps/s", "left"):
        assert word in lines[0]
    assert "epoch 90/90" in lines[-1]
    assert len(list(Path("runs").glob("blobs-*"))) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal")
def test_on_a_terminal_progress_is_a_live_line(blobs, tmp_path):
    said = said_on_a_terminal("train", str(blobs), "--out", str(tmp_path / "run"))
    assert b"\x1b[" in said
    assert b"validation accuracy" in said
    assert b"steps/s" in said


def test_a_run_that_explodes_ends_with_1_and_says_so_in_full(blobs, tmp_path, capsys):
    assert main(["train", str(blobs), "--fault", "explodes", "--out", str(tmp_path / "run")]) == 1
    said = capsys.readouterr()
    assert "error: step" in said.err
    assert "non-finite-loss" in said.err
    assert "optax.clip_by_global_norm" in said.err


def test_nothing_is_overwritten(blobs, run_folder, capsys):
    before = (run_folder / "history.jsonl").read_text()
    assert main(["train", str(blobs), "--out", str(run_folder)]) == 2
    assert "exists already and is not empty" in capsys.readouterr().err
    assert (run_folder / "history.jsonl").read_text() == before


def test_help_of_a_file_lists_its_parameters_with_defaults(blobs, capsys):
    assert main(["train", str(blobs), "--help"]) == 0
    said = capsys.readouterr().out
    for text in (
        "--hidden INT",
        "width of the hidden layer. (default: 8)",
        "--learning-rate FLOAT",
        "(default: 0.03)",
        "--seed INT",
    ):
        assert text in said
    assert "--center, --no-center" in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--center"], True),
        (["--no-center"], False),
        (["--center", "true"], True),
        (["--center=false"], False),
        (["--center", "no"], False),
        ([], False),
    ],
)
def test_a_bool_is_a_flag_or_a_value(words, expected, blobs):
    from verax.cli._train import train

    _, named = parse(train, [str(blobs), *words], "verax train")
    assert named["center"] is expected


def test_types_come_from_annotations_and_defaults(blobs):
    from verax.cli._train import train

    words = ["--sizes", "3", "4", "5", "--hidden", "9", "--learning-rate", "1", "--kind", "sgd"]
    positional, named = parse(train, [str(blobs), *words], "verax train")
    assert positional == (blobs,)
    assert {"sizes": (3, 4, 5), "hidden": 9, "learning_rate": 1.0, "kind": "sgd"}.items() <= named.items()
    assert isinstance(named["learning_rate"], float)


def test_the_file_may_stand_after_its_options(blobs):
    from verax.cli._train import train

    positional, named = parse(train, ["--hidden", "9", str(blobs)], "verax train")
    assert (positional, named["hidden"]) == ((blobs,), 9)


def test_show_describes_a_run_without_running_its_source(run_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(vx.train.SourceFile, "function", None)
    assert main(["show", str(run_folder)]) == 0
    said = capsys.readouterr().out
    assert "experiment(hidden=8, learning_rate=0.03" in said
    assert "51 parameters in 4 leaves" in said  # 2*8 + 8 + 8*3 + 3
    assert "Dense_0/kernel" in said
    assert "loss by step: " in said and "dead units: not measured; run: verax certify" in said
    assert main(["show", str(run_folder), "--json"]) == 0
    assert sum(leaf["count"] for leaf in json.loads(capsys.readouterr().out)["parameters"]) == 51


def test_show_reads_an_experiments_signature_without_running_it(tmp_path, capsys):
    path = tmp_path / "bad.py"
    path.write_text('raise SystemExit(9)\ndef experiment(a, b: int = 3, *, c="x"):\n    """Does it."""\n')
    assert main(["show", str(path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["hyperparameters"]
    assert [tuple(row.values()) for row in rows] == [("a", "", "required"), ("b", "int", "3"), ("c", "", "'x'")]
