"""`verax tune`: the space in words, the plan and the rows, what is left of a study that ends or is stopped."""

import csv
import json
import os
import re
import subprocess
import sys

import pytest

import verax as vx
from tests.cli.terminal import said_on_a_terminal
from verax.cli import main
from verax.cli._arguments import parse
from verax.cli._runs import study_folder
from verax.cli._study import read_space, read_study
from verax.cli._trials import Rows
from verax.cli._tune import tune
from verax.findings import InputError
from verax.tune import Plan, Trial, executors


@pytest.fixture(scope="module")
def tuned(blobs, tmp_path_factory):
    """The folder of a finished study, and what was said on the way."""
    folder = tmp_path_factory.mktemp("tuned") / "best"
    command = [sys.executable, "-m", "verax", "tune", str(blobs), "--space", "learning_rate=1e-6,1e-1", "hidden=4"]
    done = subprocess.run([*command, "--retrain", "2", "--out", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_plan_comes_first_then_a_row_for_each_trial_then_the_winner(tuned):
    lines = tuned[1].splitlines()
    assert lines[0] == "plan: 2 trials = 1 program × 2 lanes"
    assert lines[1] == "  learning_rate: an input of the program"
    assert lines[2].startswith("  hidden: a program for each value (")
    header = next(line for line in lines if "setting" in line)
    assert header.split() == ["trial", "validation/loss", "best", "/", "min", "left", "setting"]
    rows = [line for line in lines if " / 2 " in line]
    assert [row.split()[-2:] for row in rows] == [
        ["learning_rate=1e-06,", "hidden=4"],
        ["learning_rate=0.1,", "hidden=4"],
    ]
    assert "training the winner anew with 2 fresh seeds" in lines
    said = tuned[1].partition("fresh seeds\n")[2]
    assert "2 trials: 2 complete" in said
    assert re.search(r"best: learning_rate=0\.1, hidden=4 \(validation/loss 0\.\d+ in the search, trial 1\)", said)
    assert re.search(r"with 2 fresh seeds: validation/loss \d+\.\d+ \[-?\d+\.\d+, \d+\.\d+\]", said)
    assert re.search(r"luck: the search saw it better than it is by -?\d+\.\d+ \[", said)
    assert "on the test split: mean over 2 seeds" in said


def test_the_folder_holds_the_winners_run_and_its_study(tuned):
    folder = tuned[0]
    assert {"experiment.json", "checkpoints", "study.db", "study.json", "study.csv", "study.html"} <= set(
        os.listdir(folder)
    )
    assert not list(folder.parent.glob(".*"))  # nothing half written
    study = read_study(folder / "study.json")
    settings = [{"learning_rate": rate, "hidden": 4} for rate in (1e-6, 0.1)]
    assert [trial.hyperparameters for trial in study.trials] == settings
    assert (study.objective, study.best.number, study.facts["search"]) == ("validation/loss", 1, "grid")
    run = vx.train.load_run(folder)
    assert run.experiment.hyperparameters["learning_rate"] == 0.1
    assert run.experiment.seed == study.winner.seeds[0] == 1  # the search had seed 0
    assert run.history.last("validation/loss") == study.winner.values[0]
    with (folder / "study.csv").open(newline="") as file:
        assert [float(row["validation/loss"]) for row in csv.DictReader(file)] == [each.value for each in study.trials]


def test_a_study_is_read_as_it_was(tuned):
    content = json.loads((tuned[0] / "study.json").read_text())
    study = read_study(tuned[0] / "study.json")
    assert [trial.to_json() for trial in study.trials] == content["trials"]
    assert study.winner.to_json() == content["winner"]


def test_the_study_has_opened_the_test_split_once(tuned):
    lines = [json.loads(line) for line in (tuned[0] / "test_ledger.jsonl").read_text().splitlines()]
    run = vx.train.load_run(tuned[0])
    assert [(line["purpose"], line["data"]) for line in lines] == [("tune", run.dataset.fingerprint)]


def test_a_study_of_an_older_version_is_read(tmp_path):
    trial = {"hyperparameters": {"hidden": 8}, "value": None, "seconds": 1.0, "stop_reason": "because"}
    path = tmp_path / "study.json"
    path.write_text(json.dumps({"metric": "validation/accuracy", "best": trial, "trials": [trial, trial]}))
    study = read_study(path)
    assert (study.objective, study.winner, [each.number for each in study.trials]) == (
        "validation/accuracy",
        None,
        [0, 1],
    )


def test_nothing_is_overwritten_by_a_study(tuned, blobs, capsys):
    assert main(["tune", str(blobs), "--space", "hidden=4,8", "--out", str(tuned[0])]) == 2
    assert "exists already and is not empty" in capsys.readouterr().err


def test_a_stopped_study_keeps_what_is_known_and_goes_on(blobs, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "stopped"
    words = ["tune", str(blobs), "--space", "hidden=4,8", "learning_rate=1e-2,1e-1", "--epochs", "1", "--retrain", "0"]
    whole = executors.Local.run

    def first_only(self, tasks):
        yield next(iter(whole(self, tasks[:1])))
        raise KeyboardInterrupt

    monkeypatch.setattr(executors.Local, "run", first_only)
    assert main([*words, "--out", str(folder)]) == 130
    said = capsys.readouterr().err
    assert "Stopped before the end. 2 of 4 trials are in" in said
    assert f"The same command with --out {folder} goes on from here." in said
    assert "best: " in said
    known = read_study(folder / "study.json")
    assert [trial.number for trial in known.trials] == [2, 3]  # the larger networks come first
    assert known.facts["finished"] is False
    assert len((folder / "study.csv").read_text().splitlines()) == 3

    trained = []

    def counted(self, tasks):
        trained.extend(number for task in tasks for number in task.numbers)
        return whole(self, tasks)

    monkeypatch.setattr(executors.Local, "run", counted)
    assert main([*words, "--out", str(folder), "--json"]) == 0
    said = capsys.readouterr()
    assert trained == [0, 1]
    assert f"{folder} holds a study without a run of its winner: it goes on" in said.err
    assert "(2 known already)" in said.err
    content = json.loads(said.out)
    assert content["run"] is None and content["winner"] is None
    assert [trial["value"] for trial in content["trials"][2:]] == [trial.value for trial in known.trials]
    assert "finished" not in read_study(folder / "study.json").facts


def test_a_study_that_is_stopped_at_once_says_so(blobs, tmp_path, monkeypatch, capsys):
    def stopped(self, tasks):
        raise KeyboardInterrupt

    monkeypatch.setattr(executors.Local, "run", stopped)
    assert main(["tune", str(blobs), "--space", "hidden=4,8", "--out", str(tmp_path / "run")]) == 130
    said = capsys.readouterr().err
    assert "Stopped before the first trial ended." in said and "goes on from here" in said
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["study.db"]


def test_a_study_of_which_nothing_could_be_trained_leaves_nothing(blobs, tmp_path, capsys):
    words = ["--space", "learning_rate=1e-3,1e-2", "--fault", "labels", "--out", str(tmp_path / "run")]
    assert main(["tune", str(blobs), *words]) == 2
    assert "labels must lie in [0, 3)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_only_a_folder_with_a_study_alone_goes_on(tmp_path):
    assert study_folder(tmp_path / "new", "x") == (tmp_path / "new", False)
    (tmp_path / "study.db").touch()
    (tmp_path / "study.db-journal").touch()
    assert study_folder(tmp_path, "x") == (tmp_path, True)
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError, match="is not empty"):
        study_folder(tmp_path, "x")


# The space in words.


def test_a_space_has_the_types_of_the_parameters():
    kinds = {"rate": float, "hidden": int, "act": str, "flag": bool, "sizes": tuple[int, ...], "maybe": float | None}
    texts = ["rate=1,1e-3", "hidden=64, 128", "act=relu,gelu", "flag=true,False", "sizes=(1, 2),(3,)", "maybe=None,2"]
    space = read_space(texts, kinds)
    assert space == {
        "rate": [1.0, 1e-3],
        "hidden": [64, 128],
        "act": ["relu", "gelu"],
        "flag": [True, False],
        "sizes": [(1, 2), (3,)],
        "maybe": [None, 2.0],
    }
    assert isinstance(space["rate"][0], float)


def test_a_space_has_intervals():
    kinds = {"rate": float, "drop": float | None, "depth": int, "width": int | float}
    texts = ["rate=log(1e-4, 1e-1)", "drop=uniform(0,0.5)", "depth=int(1,4)", "width=logint(16,256)"]
    assert read_space(texts, kinds) == {
        "rate": vx.log_uniform(1e-4, 1e-1),
        "drop": vx.uniform(0.0, 0.5),
        "depth": vx.int_uniform(1, 4),
        "width": vx.int_uniform(16, 256, log=True),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hidden=log(4,8)", r"'hidden' must be int, got 'log\(4,8\)', which gives floats\. Give int or logint"),
        ("kind=int(4,8)", r"'kind' must be str, got 'int\(4,8\)', which gives ints\. Give a list A,B,C"),
        ("rate=log(1e-3)", r"log\(LOW,HIGH\) takes two numbers, got 'log\(1e-3\)' for 'rate'"),
        ("rate=log(a,b)", r"log\(LOW,HIGH\) takes two numbers, got 'log\(a,b\)' for 'rate'"),
        ("rate=log(0,1)", r"--space rate=log\(0,1\): log_uniform needs numbers above 0 for their logarithms, got 0"),
        ("rate=uniform(1,0)", "--space rate=.*the lower first, got 1.0 and 0.0"),
        ("hidden=int(1.5,3)", r"int\(LOW,HIGH\) takes two whole numbers, got 'int\(1\.5,3\)'"),
        ("rate=lgo(1,2)", r"must be float, got 'lgo\(1,2\)'\. Give values as A,B,C, or uniform\(LOW,HIGH\), log"),
    ],
)
def test_what_is_wrong_with_a_space_is_said(text, said):
    with pytest.raises(InputError, match=said):
        read_space([text], {"rate": float, "hidden": int, "kind": str})


def test_several_spaces_may_follow_one_option(blobs):
    words = ["--space", "hidden=4,8", "learning_rate=log(1e-4,1e-1)", "--trials", "3", "--space", "kind=adam,sgd"]
    for order in ([str(blobs), *words], [*words, str(blobs)], [*words[:3], str(blobs), *words[3:]]):
        (file,), named = parse(tune, order, "verax tune")
        assert file == blobs
        assert named["space"] == ("hidden=4,8", "learning_rate=log(1e-4,1e-1)", "kind=adam,sgd")
        assert named["trials"] == 3 and "hidden" not in named


def test_the_seed_is_the_studys(blobs):
    _, named = parse(tune, [str(blobs), "--space", "hidden=4,8", "--seed", "7"], "verax tune")
    assert named["seed"] == 7


def test_the_generation_reaches_the_study(blobs, tmp_path):
    words = ["--space", "learning_rate=log(1e-3,1e-1)", "--trials", "3", "--epochs", "1", "--retrain", "0"]
    assert main(["tune", str(blobs), *words, "--generation", "2", "--out", str(tmp_path / "run")]) == 0
    facts = read_study(tmp_path / "run" / "study.json").facts
    assert facts["generation"] == 2 and len(facts["plan"]) == 2


# The rows.


def trial(number, value, state="complete"):
    return Trial({"rate": 0.1}, value, 1.0, "because", number, state)


def test_rows_say_best_so_far_rate_and_time_left(monkeypatch):
    now = iter(range(0, 1000, 30))
    monkeypatch.setattr("verax.cli._trials.time.perf_counter", lambda: next(now))
    rows = Rows(4, "validation/accuracy")
    assert rows.plan(Plan((), (), known=1)) == "plan: no trial"
    known = rows.row(trial(0, 0.5))
    assert known.splitlines()[1].split() == ["1", "/", "4", "0.5", "0.5", "-", "-", "rate=0.1"]
    row = rows.row(trial(1, 0.4)).split()  # one trial in the minutes since, by this clock
    assert row[:5] == ["2", "/", "4", "0.4", "0.5"] and float(row[5]) > 0 and row[6] != "-"
    assert "(because)" in rows.row(trial(2, float("nan"), "not finite"))
    assert rows.line().startswith("3 / 4 trials  best 0.5  ")


def test_of_a_long_study_few_rows_are_printed():
    rows = Rows(1000, "validation/loss")
    shown = [rows.row(trial(number, 1.0 if number != 500 else 0.5)) for number in range(1000)]
    assert 19 <= sum(map(bool, shown)) <= 22
    assert "0.5" in shown[500]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal")
def test_on_a_terminal_there_is_a_live_line(blobs, tmp_path):
    words = ["--space", "learning_rate=1e-6,1e-1", "--epochs", "1", "--retrain", "0", "--out", str(tmp_path / "run")]
    said = said_on_a_terminal("tune", str(blobs), *words)
    assert b"\x1b[" in said
    for words in (b"plan: 2 trials = 1 program", b"2 / 2 trials  best ", b"a minute", b"left"):
        assert words in said
