"""Wrong inputs of every kind: each has its own clear message on one screen, exit code 2, and leaves nothing behind.

The tables are in `bad_input/`: `wrong_data.py` (labels, values, shapes), `wrong_parts.py` (networks, losses,
optimizers, numbers), `commands.py` (source files, options, spaces), `stored.py` (data, runs and models on disk) and
`calls.py` (from Python). Each row names its message by patterns: what was expected, what was found, what to do.
"""

import re
import urllib.error
import urllib.request
from pathlib import Path

import jaxtyping
import numpy as np
import pytest

import verax as vx
from tests.bad_input.calls import CALLS, Call
from tests.bad_input.commands import COMMANDS, Command
from tests.bad_input.experiments import sound_parts
from tests.bad_input.files import EXPERIMENTS, FROM_FILES, make_all
from tests.bad_input.networks import Mismatched
from tests.bad_input.stored import STORED
from tests.bad_input.wrong_data import data
from verax.cli import main
from verax.findings import InputError

COLUMNS, ROWS = 80, 24  # of a screen
ROW_OF_A_SCREEN = re.compile(rf".{{1,{COLUMNS}}}")
INTERNALS = ("Traceback", "site-packages", "jax/_src", "For simplicity, JAX has removed")


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Path:
    """A folder with everything that is wrong on disk."""
    folder = tmp_path_factory.mktemp("wrong")
    make_all(folder)
    return folder


@pytest.fixture(autouse=True)
def _as_users_run_it():
    """Without the checks of annotations that the tests add: they would answer in place of Verax."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No data sets on disk, and no network."""

    def refuse(*_: object, **__: object):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.delenv("VERAX_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def elsewhere(monkeypatch, tmp_path) -> Path:
    """An empty folder to work in."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def contents(*folders: Path) -> dict[str, tuple[int, int]]:
    """Returns size and time of change of everything below some folders."""
    paths = [path for folder in folders for path in folder.rglob("*")]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def assert_clear(text: str, said: tuple[str, ...]) -> None:
    """Asserts that a message is of one screen, says what it must, and shows nothing of anyone's internals."""
    rows = sum(max(1, len(ROW_OF_A_SCREEN.findall(line))) for line in text.splitlines())
    assert 0 < rows <= ROWS, f"{rows} rows of {COLUMNS}:\n{text}"
    for each in INTERNALS:
        assert each not in text, text
    for pattern in said:
        assert re.search(pattern, text), f"{pattern!r} is not in:\n{text}"


@pytest.mark.parametrize("row", [*COMMANDS, *STORED], ids=lambda row: row.name)
def test_a_wrong_command_is_answered_on_one_screen_and_writes_nothing(
    row: Command, files, elsewhere, offline, monkeypatch, capsys
):
    if row.environment:
        name, _, value = row.environment.partition("=")
        monkeypatch.setenv(name, value.format(files=files))
    names = {"files": files, "experiments": EXPERIMENTS, "from_files": FROM_FILES, "out": elsewhere / "run"}
    words = [word.format(**names) for word in row.words.split()] + (["--fault", row.fault] if row.fault else [])
    before = contents(files, elsewhere)
    code = main(words)
    said = capsys.readouterr()
    assert code == 2, said
    assert_clear(said.err or said.out, row.said)  # without any word there is only the help
    assert contents(files, elsewhere) == before


@pytest.mark.parametrize("row", CALLS, ids=lambda row: row.name)
def test_a_wrong_call_raises_a_clear_error_and_writes_nothing(row: Call, files, elsewhere, offline):
    before = contents(files, elsewhere)
    with pytest.raises((ValueError, TypeError)) as raised:
        row.call(files)
    assert_clear(str(raised.value), row.said)
    assert contents(files, elsewhere) == before


def test_no_row_is_there_twice():
    commands = [*COMMANDS, *STORED]
    assert len(commands) + len(CALLS) >= 40
    assert len({(row.words, row.fault, row.environment) for row in commands}) == len(commands)


def test_the_experiments_are_sound_but_for_their_fault(files, elsewhere, capsys):
    """Else a row could pass for a reason that is not its own."""
    assert main(["train", str(EXPERIMENTS), "--out", str(elsewhere / "run")]) == 0
    for name in ("csv", "npz"):
        assert main(["evaluate", str(files / f"{name}_run"), "--split", "train"]) == 0
        assert main(["show", str(files / f"{name}.vx")]) == 0
    assert main(["predict", str(files / "csv.vx"), str(files / "sound.csv")]) == 0
    assert "error" not in capsys.readouterr().err


def test_unscaled_pixels_are_a_warning_not_an_error(elsewhere):
    pixels = np.random.default_rng(0).integers(0, 256, (120, 4)).astype(np.float32)
    run = vx.train(vx.Experiment(**{**sound_parts(), **data(pixels)}))
    assert [(finding.id, finding.severity) for finding in run.findings] == [("input-not-normalized", "warning")]
    assert "standardise" in str(run.findings[0])


def test_from_python_the_original_error_is_the_cause_with_the_users_frame():
    with pytest.raises(InputError) as raised:
        vx.train(vx.Experiment(**{**sound_parts(), "network": Mismatched()}))
    assert isinstance(raised.value.__cause__, TypeError)
    frames = vx.findings.user_frames(raised.value.__cause__)
    assert frames[-1].name == "__call__"
    assert Path(frames[-1].filename).name == "networks.py"


def test_what_is_wrong_with_the_data_is_said_before_what_that_does_to_the_network():
    with pytest.raises(InputError, match="batch_size must lie in") as raised:
        vx.train(vx.Experiment(**{**sound_parts(), "network": Mismatched(), "batch_size": 500}))
    assert "Mismatched" not in str(raised.value)
    assert raised.value.__context__ is None  # no traceback of JAX above it


def test_the_traceback_can_be_had(elsewhere, monkeypatch):
    monkeypatch.setenv("VERAX_TRACEBACK", "1")
    with pytest.raises(InputError):
        main(["train", str(EXPERIMENTS), "--fault=epochs and steps", "--out", str(elsewhere / "run")])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "0 rows"),
        ("error: no.\n" * (ROWS + 1), "25 rows"),
        ("error: " + "no " * COLUMNS * ROWS, "rows of 80"),
        ("error: rows\nTraceback (most recent call last):", "Traceback"),
        ("error: rows in /lib/site-packages/flax/core/scope.py", "site-packages"),
        ("error: something else", "'rows' is not in"),
    ],
)
def test_an_unclear_message_would_be_noticed(text, why):
    with pytest.raises(AssertionError, match=why):
        assert_clear(text, ("rows",))
    assert_clear("error: too many rows", ("rows",))


def test_what_a_command_leaves_behind_would_be_noticed(elsewhere):
    before = contents(elsewhere)
    (elsewhere / "half").write_text("written")
    assert contents(elsewhere) != before
