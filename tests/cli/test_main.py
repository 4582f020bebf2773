"""Help, exit codes, and what goes wrong: one screen, no traceback, nothing half-written."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from verax.cli import main
from verax.cli._errors import explain
from verax.cli._main import COMMANDS

SCREEN = 25  # lines


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in COMMANDS)
    assert main([]) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    assert f"usage: verax {command}" in capsys.readouterr().out


def test_help_does_not_import_jax():
    """In one process for all commands; an import of JAX costs about a second."""
    program = (
        "import sys; from verax.cli import main\n"
        f"for words in [[], ['--help'], ['--version'], *([name, '--help'] for name in {list(COMMANDS)})]:\n"
        "    main(words)\n"
        "found = {'jax', 'numpy', 'flax', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {found}' if found else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_python_dash_m_runs_the_command_line_and_returns_its_code():
    done = subprocess.run([sys.executable, "-m", "verax", "trian"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown command 'trian'. Did you mean 'train'?" in done.stderr


def test_the_version_is_the_packages(capsys):
    import verax

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"verax {verax.__version__}\n"


WRONG_WORDS = [
    (["tain", "x.py"], "Did you mean 'train'?"),
    (["train"], "FILE"),
    (["train", "absent.py"], "absent.py does not exist"),
    (["train", "BLOBS", "--hiden", "3"], "unknown option --hiden. Did you mean --hidden?"),
    (["train", "BLOBS", "--Learning_rate", "3"], "Did you mean --learning-rate?"),
    (["train", "BLOBS", "--hidden", "many"], "--hidden"),
    (["train", "BLOBS", "--kind", "adamm"], "adamm"),
    (["train", "BLOBS", "--center", "perhaps"], "perhaps"),
    (["train", "BLOBS", "other"], "unexpected 'other'"),
    (["train", "BLOBS", "--seed", "-1"], "seed must be a whole number"),
    (["train", "BLOBS", "--epochs", "0"], "epochs must be a whole number of at least 1, got 0."),
    (["train", "BLOBS", "--fault", "labels"], "label"),
    (["train", "BLOBS", "--fault", "batch"], "batch"),
    (["train", "BLOBS", "--fault", "user"], "points = points[:, 7]"),
    (["train", "BLOBS", "--hidden", "0"], "error"),
    (["train", "FOLDER"], "expected a Python file"),
    (["tune", "BLOBS"], "at least one --space"),
    (["tune", "BLOBS", "--space", "hidden"], "must be of the form"),
    (["tune", "BLOBS", "--space", "hiden=3,4"], "Did you mean 'hidden'?"),
    (["tune", "BLOBS", "--space", "hidden=3,x"], "the values of 'hidden' must be int, got 'x'."),
    (["tune", "BLOBS", "--space", "hidden=3,3"], "a value twice"),
    (["tune", "BLOBS", "--space", "hidden=3,4", "--space", "hidden=5"], "names 'hidden' twice"),
    (["tune", "BLOBS", "--space", "sizes=(1, 2),(2, 3)"], "changes nothing"),
    (["tune", "BLOBS", "--space", "hidden=3,4", "--objective", "validation/acuracy"], "Did you mean 'validation/acc"),
    (["certify", "absent"], "absent does not exist"),
    (["certify", "FOLDER"], "no run folder"),
    (["certify", "MODEL"], "expected a run folder, but"),
    (["certify", "RUN", "--waive", "tuned"], "must be of the form"),
    (["certify", "RUN", "--waive", "tund=because"], "unknown item 'tund'"),
    (["certify", "RUN", "--limit", "latency_p99_seconds=fast"], "must be a number, got 'fast'."),
    (["certify", "RUN", "--limit", "latency=1"], "unknown limit 'latency'"),
    (["certify", "RUN", "--study", "absent.json"], "absent.json does not exist"),
    (["certify", "RUN", "--study", "RUN/experiment.json"], "is no study"),
    (["evaluate", "MODEL"], "holds no data"),
    (["evaluate", "RUN", "rows.csv"], "has its own data"),
    (["evaluate", "RUN", "--split", "tests"], "tests"),
    (["export", "RUN", "--out", "MODEL"], "exists already. Choose another with --out"),
    (["export", "MODEL"], "expected a run folder, but"),
    (["predict", "MODEL", "absent.csv"], "absent.csv"),
    (["predict", "MODEL", "BLOBS"], "must be a file with rows"),
    (["predict", "RUN", "BLOBS"], "holds no exported model yet"),
    (["predict", "BLOBS", "rows.csv"], "expected a run folder or a model.vx"),
    (["predict", "MODEL", "rows.npy", "--out", "BLOBS"], "exists already"),
    (["show", "absent"], "absent does not exist"),
    (["show", "RUN/experiment.json"], "is no certificate"),
    (["show", "RUN", "RUN"], "unexpected"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "expected"), WRONG_WORDS, ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else ""
)
def test_wrong_words_end_with_2_and_one_screen(
    words, expected, blobs, run_folder, model, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", np.zeros((2, 2), np.float32))
    before = snapshot(tmp_path, run_folder, model)
    places = {"BLOBS": str(blobs), "RUN": str(run_folder), "MODEL": str(model), "FOLDER": str(tmp_path)}
    named = [word.replace("RUN/", f"{run_folder}/") for word in words]
    assert main([places.get(word, word) for word in named]) == 2
    said = capsys.readouterr()
    assert expected in said.err
    assert one_screen(said.err)
    assert snapshot(tmp_path, run_folder, model) == before


def damage(name):
    def cut(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return cut


def wrong_format(folder: Path) -> None:
    content = json.loads((folder / "experiment.json").read_text())
    (folder / "experiment.json").write_text(json.dumps({**content, "format": 99}))


def other_data(folder: Path) -> None:
    content = json.loads((folder / "experiment.json").read_text())
    (folder / "experiment.json").write_text(
        json.dumps({**content, "source": content["source"].replace("default_rng(0)", "default_rng(1)")})
    )


def not_finished(folder: Path) -> None:
    shutil.rmtree(folder / "checkpoints")


DAMAGED_RUNS = [
    (damage("experiment.json"), "experiment.json cannot be read"),
    (damage("checkpoints/final/manifest.json"), "manifest.json cannot be read"),
    (wrong_format, "format 99"),
    (other_data, "have changed"),
    (not_finished, "holds no final state"),
]


@pytest.mark.parametrize(("spoil", "expected"), DAMAGED_RUNS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_damaged_run_is_refused(spoil, expected, run_folder, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    spoil(folder)
    before = snapshot(folder)
    assert main(["evaluate", str(folder)]) == 2
    said = capsys.readouterr()
    assert expected in said.err
    assert one_screen(said.err)
    assert snapshot(folder) == before


NO_EPOCHS = """import optax, verax as vx
loss, optimizer = vx.classification(), optax.sgd(1.0)
def experiment():
    return vx.Experiment(None, loss, optimizer, vx.data.digits(), epochs=0)
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def experiment(:\n", "not valid Python"),
        ("x = 1\n", "must define a function experiment"),
        ("def experimnt():\n    pass\n", "It defines: experimnt."),
        ("import absent_module\n", "No module named 'absent_module'"),
        ("def experiment():\n    return 3\n", "must return a vx.Experiment, got int"),
        ("def experiment(out=3):\n    return out\n", "must not have a parameter 'out'"),
        ("def experiment(net: object):\n    return net\n", "cannot be written on a command line"),
        (NO_EPOCHS, "broken.py, line 4: "),
        ("def experiment(size):\n    return size\n", "--size"),
        ("raise KeyError('gone')\n", "KeyError: 'gone'"),
    ],
)
def test_a_broken_file_is_refused_with_its_own_line(text, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("broken.py").write_text(text)
    assert main(["train", "broken.py"]) == 2
    said = capsys.readouterr()
    assert expected in said.err
    assert "verax/train" not in said.err
    assert len(said.err.splitlines()) <= SCREEN
    assert sorted(os.listdir()) == ["broken.py"]


def test_only_the_users_own_lines_are_shown(blobs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(blobs), "--fault", "user"]) == 2
    said = capsys.readouterr().err
    assert "error in your own code" in said
    assert f'File "{blobs}"' in said
    assert said.count("File ") == 1
    assert os.listdir() == []


def test_an_error_that_nobody_has_foreseen_keeps_its_traceback(monkeypatch):
    from verax.cli import _show

    monkeypatch.setattr(_show, "kind_of", {}.__getitem__)  # a mistake in Verax
    with pytest.raises(KeyError, match="anything"):
        main(["show", "anything"])


def test_a_long_message_is_cut():
    text = explain(ValueError("\n".join(map(str, range(100)))))
    assert text is not None
    assert len(text.splitlines()) <= SCREEN
    assert "80 more lines" in text


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_ends_with_130_and_says_what_is_on_disk(blobs, tmp_path):
    words = ["train", str(blobs), "--epochs", "100000", "--out", "run"]
    listening = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # it is ignored where the suite runs behind
    code = f"import signal, sys; {listening}; from verax.cli import main; sys.exit(main({words!r}))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    history = tmp_path / "run" / "history.jsonl"
    try:
        while process.poll() is None and not (history.exists() and history.read_text().count("\n") > 3):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "Stopped before the end. run holds experiment.json, history.jsonl." in said
    assert "Traceback" not in said


def test_output_into_a_pipe_that_is_closed_is_no_error(run_folder):
    command = f"{sys.executable} -m verax show {run_folder} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def one_screen(text: str) -> bool:
    """Returns whether an error is short and shows nothing from inside a library."""
    return len(text.splitlines()) <= SCREEN and "Traceback" not in text and "site-packages" not in text


def snapshot(*folders: Path) -> dict[str, tuple[int, int]]:
    """Returns size and time of every file."""
    paths = (path for folder in folders for path in folder.rglob("*"))
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path.is_file()}
