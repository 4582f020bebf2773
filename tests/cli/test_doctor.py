"""`verax check` and `verax diagnose`: what they pass to the doctor, what they print, and their exit codes."""

import json
from types import SimpleNamespace

import pytest

from verax.cli import main
from verax.doctor import Diagnosis, TrainingProgram
from verax.doctor._check import as_the_user_runs_it
from verax.doctor._probe import Examined
from verax.findings import Finding
from verax.train import Experiment, Run

FAULT = Finding(
    "double-softmax",
    "error",
    "rows of the outputs sum to 1.",
    "Return logits.",
    part="model",
    evidence=("loss of a perfect answer 1.46",),
    confidence=1.0,
    tried="without the softmax: loss 1.9 to 0.4",
)
REMARK = Finding("constant-feature", "info", "column 3 is always 0.", "Drop it.", part="data")
PROBES = (
    Examined("output layer", ("double-softmax",), "failed", "the loss of a perfect answer", 0.42, (FAULT,)),
    Examined("purity", ("impure-function",), "passed", "two traces", 0.1),
    Examined("labels", ("label-noise",), "not applicable", "targets are numbers", 0.0),
    Examined("modes", ("train-mode-at-eval",), "could not run", "ValueError: \x1b[31mno", 0.0),
)
PROGRAM = """
import numpy as np
import optax

import verax as vx


def experiment(width: int = 3, learning_rate: float = 0.1):
    inputs, targets = np.ones((8, width), np.float32), np.zeros(8, np.float32)
    network = (lambda key, x: np.zeros(width, np.float32), lambda params, x: x @ params)
    loss = lambda outputs, targets: (outputs - targets) ** 2
    return vx.TrainingProgram(network, loss, optax.sgd(learning_rate), (inputs, targets), task="regression")
"""


def diagnosis(*findings):
    return Diagnosis(findings, PROBES, (2.3, 1.9, 1.9), {"check": 3.0, "run": 3.2, "fixes": 1.0})


@pytest.fixture
def doctor(monkeypatch):
    """What the doctor was asked, with the answer that a test sets."""
    asked = SimpleNamespace(calls=[], answer=diagnosis(FAULT, REMARK))

    def check(program, *, seconds=20.0):
        asked.calls.append(("check", program, seconds))
        return asked.answer

    def diagnose(what, *, seconds=20.0, fix_seconds=60.0):
        asked.calls.append(("diagnose", what, seconds, fix_seconds))
        return asked.answer

    monkeypatch.setattr("verax.doctor.check", check)
    monkeypatch.setattr("verax.doctor.diagnose", diagnose)
    return asked


def test_an_alarm_is_shown_in_full_and_the_exit_code_is_1(blobs, doctor, capsys):
    assert main(["check", str(blobs)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{blobs}: 1 thing does harm, in 7 s",
        "training loss █▁▁ from 2.3 to 1.9",
        "error: double-softmax (model, proved)",
        "  rows of the outputs sum to 1.",
        "  loss of a perfect answer 1.46",
        "  tried: without the softmax: loss 1.9 to 0.4",
        "  fix: Return logits. See: verax explain double-softmax",
        "1 remark besides: --all shows all.",
        "4 probes: 1 passed, 1 failed, 1 not applicable, 1 could not run; --all says what each compared.",
        "could not run: modes: ValueError: �[31mno",
    ]


def test_all_shows_remarks_and_every_probe_with_its_verdict(blobs, doctor, capsys):
    assert main(["check", str(blobs), "--all"]) == 1
    said = capsys.readouterr().out
    assert "info: constant-feature (data)\n  column 3 is always 0." in said and "besides" not in said
    for words in (
        ("failed", "output layer", "the loss of a perfect answer", "0.4"),
        ("passed", "purity", "two traces", "0.1"),
        ("not applicable", "labels", "targets are numbers"),
        ("could not run", "modes", "ValueError: �[31mno"),
    ):
        (line,) = (line for line in said.splitlines() if line.startswith(words[0]) and words[1] in line)
        assert all(word in line for word in words)


def test_nothing_found_is_exit_code_0_and_not_a_pass_of_what_was_not_run(blobs, doctor, capsys):
    doctor.answer = diagnosis(REMARK)
    assert main(["check", str(blobs)]) == 0
    said = capsys.readouterr().out
    assert f"{blobs}: nothing found" in said and "1 could not run" in said and "could not run: modes" in said


def test_json_is_what_the_diagnosis_says(blobs, doctor, capsys):
    assert main(["check", str(blobs), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(doctor.answer.to_json()))
    doctor.answer = diagnosis()
    assert main(["diagnose", str(blobs), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["findings"] == [] and found["passed"] is True


def test_hyperparameters_seed_and_budgets_are_passed_on(blobs, doctor):
    main(["check", str(blobs), "--epochs", "9", "--seed", "5", "--seconds", "3"])
    main(["diagnose", str(blobs), "--seconds", "4", "--fix-seconds", "0"])
    (_, first, seconds), (_, second, *budgets) = doctor.calls
    assert isinstance(first, Experiment) and (first.epochs, first.seed, seconds) == (9, 5, 3.0)
    assert isinstance(second, Experiment) and (second.epochs, second.seed) == (4, 0) and budgets == [4.0, 0.0]


def test_a_file_may_make_a_training_program(tmp_path, doctor):
    path = tmp_path / "loop.py"
    path.write_text(PROGRAM)
    assert main(["diagnose", str(path), "--width", "5", "--seed", "7"]) == 1
    ((_, program, *budgets),) = doctor.calls
    assert isinstance(program, TrainingProgram)
    assert program.train[0].shape == (8, 5) and program.seed == 7 and budgets == [20.0, 60.0]


def test_a_run_folder_is_loaded(run_folder, doctor, capsys):
    assert main(["diagnose", str(run_folder)]) == 1
    ((_, run, *_),) = doctor.calls
    assert isinstance(run, Run) and len(run.history)
    assert str(run_folder) in capsys.readouterr().out


@pytest.mark.parametrize("command", ["check", "diagnose"])
def test_what_is_no_program_is_refused(command, tmp_path, doctor, capsys):
    path = tmp_path / "number.py"
    path.write_text("def experiment():\n    return 3\n")
    assert main([command, str(path)]) == 2
    assert "experiment must return a vx.Experiment or a vx.TrainingProgram, got int." in capsys.readouterr().err
    assert main([command, str(tmp_path / "none.py")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert doctor.calls == []


def test_wrong_words_are_refused(blobs, run_folder, doctor, capsys):
    for words, expected in (
        (["check", str(blobs), "--hiden", "3"], "Did you mean --hidden?"),
        (["check", str(run_folder)], "expected a Python file"),
        (["diagnose", str(run_folder), "--hidden", "3"], "unknown option --hidden"),
        (["diagnose", str(run_folder.parent)], "is no run folder"),
    ):
        assert main(words) == 2
        assert expected in capsys.readouterr().err
    assert doctor.calls == []


def test_a_program_with_a_fault_is_checked_and_diagnosed_for_real(tmp_path, capsys):
    file = tmp_path / "program.py"
    file.write_text(PROGRAM.replace("np.zeros(8, np.float32)", "np.full(8, np.nan, np.float32)"))
    with as_the_user_runs_it():
        assert main(["check", str(file)]) == 1
        assert "non-finite-input" in capsys.readouterr().out
        assert main(["diagnose", str(file), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["findings"][0]["id"] == "non-finite-input" and set(found["seconds"]) == {"check", "run", "fixes"}
