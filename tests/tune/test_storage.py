import contextlib
import json
import os
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.storages.journal import JournalFileBackend, JournalStorage

import verax as vx
from tests.tune.studies import assert_same, linear, told
from verax.findings import InputError
from verax.tune import Halving, _storage
from verax.tune._opened import shown

SPACE = {"rate": [0.01, 0.1, np.nan], "width": [2, 3]}  # two of six trials do not stay finite
HALVING = Halving(factor=4, first=2)


def run(storage, **changes):
    return vx.tune(linear, **{"space": SPACE, "pruner": HALVING, "storage": storage, "retrain": 0, **changes})


@pytest.fixture(scope="module")
def known():
    """The same study, kept nowhere."""
    return run(None)


@pytest.fixture
def no_training(monkeypatch):
    """Nothing is trained; whether every hyperparameter matters is left to other tests, as it takes a second."""

    def run_task(*args, **kwargs):
        raise AssertionError("a task was trained")

    monkeypatch.setattr("verax.tune.executors._local.run_task", run_task)
    monkeypatch.setattr("verax.tune._check.changes_something", lambda *_: True)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """The journal of a study that was killed before its first task ended."""
    path = tmp_path_factory.mktemp("begun") / "study.log"
    steps = vx.tune.events(linear, SPACE, pruner=HALVING, storage=f"journal:{path}", retrain=0)
    next(steps)
    steps.close()
    return path


@contextlib.contextmanager
def opened(storage):
    """The study as Optuna opens it: what its dashboard sees."""
    if storage.startswith("journal:"):
        yield optuna.load_study(study_name="study", storage=JournalStorage(JournalFileBackend(storage[8:])))
        return
    backend = optuna.storages.RDBStorage(storage)
    yield optuna.load_study(study_name="study", storage=backend)
    backend.remove_session()
    backend.engine.dispose()


def assert_kept(storage, study):
    """Optuna finds every trial once, with its state, parameters, value and curve."""
    with opened(storage) as found:
        assert found.metric_names == [study.objective] and found.direction.name == "MINIMIZE"
        trials = {trial.user_attrs["verax:number"]: trial for trial in found.trials}
        assert len(found.trials) == len(trials) == len(study.trials)
        assert found.best_trial.user_attrs["verax:number"] == study.best.number
    names = {"complete": "COMPLETE", "pruned": "PRUNED", "not finite": "FAIL"}
    for trial in study.trials:
        kept = trials[trial.number]
        assert kept.state.name == names[trial.state]
        assert repr(kept.params) == repr(dict(trial.hyperparameters))
        if trial.state == "complete":
            assert kept.value == trial.value
        curve = [value for value in trial.curves[study.objective][0] if value is not None]
        assert list(kept.intermediate_values.values()) == curve
        assert kept.user_attrs["stop_reason"] == trial.stop_reason


@pytest.fixture(scope="module", params=["sqlite", "journal", "postgresql"])
def kept(request, tmp_path_factory):
    """A finished study in each kind of storage."""
    if request.param == "postgresql":
        storage = request.getfixturevalue("postgresql")
    else:
        folder = tmp_path_factory.mktemp("kept")
        storage = f"sqlite:///{folder}/st{{u}}dy.db" if request.param == "sqlite" else f"journal:{folder}/study.log"
    study = run(storage)
    return storage.replace("{u}", "{{u}}"), storage, study


def test_optuna_opens_a_finished_study(kept, known):
    for_optuna, _, study = kept
    assert_same(study, known)
    assert_kept(for_optuna, study)


def test_a_finished_study_is_read_again_and_nothing_is_written(kept, no_training):
    for_optuna, storage, study = kept
    again = run(storage)
    assert told(again) == told(study)
    np.testing.assert_array_equal([trial.value for trial in again.trials], [trial.value for trial in study.trials])
    assert again.facts["lanes"] == study.facts["lanes"]
    assert_kept(for_optuna, study)


def test_one_process_at_a_time_drives_a_study(kept, no_training):
    _, storage, _ = kept
    steps = vx.tune.events(linear, SPACE, pruner=HALVING, storage=storage, retrain=0)
    with contextlib.closing(steps):
        next(steps)
        with pytest.raises(InputError, match="the study 'study' is being run by another process"):
            run(storage)


CHANGES = {
    "space": ({"space": {**SPACE, "rate": [0.01, 0.2]}}, r"begun with space .*0\.1.* and cannot go on with .*0\.2"),
    "objective": ({"objective": "validation/rmse"}, "begun with objective 'validation/loss'"),
    "seed": ({"seed": 1}, "begun with seed 0 and cannot go on with 1"),
    "seeds": ({"seeds": 2}, "begun with seeds 1 and cannot go on with 2"),
    "search": ({"search": "random", "trials": 6}, "begun with search 'grid' and cannot go on with 'random'"),
    "trials": ({"trials": 5}, "begun with trials 6 and cannot go on with 5"),
    "pruner": ({"pruner": None}, r"begun with pruner 'Halving\(factor=4, first=2\)' and cannot go on with None"),
    "fixed": ({"seconds": 1e-3}, r"begun with fixed \{\} and cannot go on with \{'seconds': 0\.001\}"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_another_study_is_refused(begun, no_training, what):
    changes, message = CHANGES[what]
    with pytest.raises(InputError, match=f"the study 'study' was {message}.*Choose another name or folder"):
        run(f"journal:{begun}", **changes)


def test_a_model_goes_on_with_the_same_generation_only(tmp_path, no_training):
    given = {"space": {"rate": [0.01, 0.1]}, "search": "tpe", "trials": 4, "generation": 2}
    with pytest.raises(AssertionError, match="a task was trained"):
        run(tmp_path, **given)
    with pytest.raises(InputError, match="begun with generation 2 and cannot go on with 3"):
        run(tmp_path, **{**given, "generation": 3})
    with pytest.raises(AssertionError, match="a task was trained"):
        run(tmp_path, **given)


def test_the_generation_is_nothing_to_a_grid(begun, tmp_path, no_training):
    with pytest.raises(AssertionError, match="a task was trained"):
        run(f"journal:{shutil.copy(begun, tmp_path)}", generation=3)


def test_another_grouping_is_refused(begun, tmp_path, no_training):
    """The experiment function was changed, so that other trials share a program."""
    storage = f"journal:{shutil.copy(begun, tmp_path)}"
    record = vx.tune.TaskResult("g0-0", (vx.tune.LaneResult(5, {}, (None,), 0, 0.0),))
    with opened(storage) as found:
        found.set_user_attr("verax:task:g0-0", record.to_json())
    with pytest.raises(InputError, match=r"not grouped as they were when it was begun\. Did the experiment function"):
        run(storage)


def test_a_folder_is_a_storage(tmp_path):
    """SQLite is whole, holds no states, and nothing else is left beside it."""
    folder = tmp_path / "new" / "folder with 100% {odd}?#"
    study = run(folder, space={"rate": [0.01, 0.1]}, pruner=Halving(factor=2, first=3))
    assert [path.name for path in folder.iterdir()] == ["study.db"]
    with contextlib.closing(sqlite3.connect(folder / "study.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        records = database.execute("SELECT value_json FROM study_user_attributes WHERE key LIKE 'verax:task:%'")
        states = [json.loads(json.loads(text))["states"] for (text,) in records]
    assert states == [[]] * len(study.facts["lanes"]) and len(states) == 2


def test_a_file_is_no_folder(tmp_path, no_training):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"storage must be a folder or a URL, got .*file'"):
        run(tmp_path / "file")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("study.db", r"the storage 'study\.db' cannot be opened: ArgumentError: .*Give a folder as a Path, or a URL"),
        ("sqlite:////nowhere/study.db", "'sqlite:////nowhere/study.db' cannot be opened: FileNotFoundError"),
        ("journal:", "storage must name the file of the journal, such as journal:study.log"),
        ("journal:/nowhere/study.log", "cannot be opened: FileNotFoundError"),
        ("postgresql://me:secret@127.0.0.1:1/db", r"'postgresql://me:\*\*\*@127\.0\.0\.1:1/db' cannot be opened"),
    ],
)
def test_a_storage_that_cannot_be_opened_is_refused(url, message, no_training):
    with pytest.raises(InputError, match=message) as error:
        run(url)
    assert "secret" not in str(error.value)


def test_a_password_is_not_shown():
    assert (
        shown("postgresql+psycopg://me:p@ss:w@host:5432/db?host=/tmp")
        == "postgresql+psycopg://me:***@host:5432/db?host=/tmp"
    )
    assert shown("sqlite:////tmp/a:b@c.db") == "sqlite:////tmp/a:b@c.db"


@pytest.mark.parametrize("what", ["its trials", "its direction"])
def test_a_foreign_study_is_refused(tmp_path, no_training, what):
    storage = f"sqlite:///{tmp_path}/study.db"
    backend = optuna.storages.RDBStorage(storage)
    study = optuna.create_study(
        study_name="study", storage=backend, direction="minimize" if what == "its trials" else "maximize"
    )
    if what == "its trials":
        study.add_trial(optuna.create_trial(value=1.0))
    backend.remove_session()
    backend.engine.dispose()
    with pytest.raises(InputError, match=r"the study 'study' in 'sqlite.* was not made by Verax\. Choose another"):
        run(storage)


def test_a_damaged_file_is_refused(tmp_path, no_training):
    (tmp_path / "study.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(InputError, match=r"cannot be opened: .*not a database"):
        run(tmp_path)


@pytest.mark.parametrize(
    ("key", "text"),
    [("verax:identity", "[1]"), ("verax:identity", "{"), ("verax:task:g0-0", '{"trials": 3}'), ("verax:memory", "x")],
)
def test_damaged_records_are_refused(begun, tmp_path, key, text, no_training):
    storage = f"journal:{shutil.copy(begun, tmp_path)}"
    with opened(storage) as found:
        found.set_user_attr(key, text)
    with pytest.raises(InputError, match=r"the records of the study 'study' in .* are damaged"):
        run(storage)


def test_a_journal_with_a_torn_end_goes_on(begun, tmp_path, no_training):
    """A process that is killed while it writes leaves part of a line, which Optuna alone would never get beyond."""
    path = Path(shutil.copy(begun, tmp_path))
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    path.write_bytes(whole + last[: len(last) // 2])
    with pytest.raises(AssertionError, match="a task was trained"):
        run(f"journal:{path}")
    assert path.read_bytes().startswith(whole)
    assert all(json.loads(line) for line in path.read_bytes()[len(whole) :].splitlines())  # Optuna's, of opening it


def test_a_file_that_is_no_journal_is_left_alone(tmp_path, no_training):
    path = tmp_path / "notes.txt"
    path.write_text("mine\nand mine")
    with pytest.raises(InputError, match="cannot be opened"):
        run(f"journal:{path}")
    assert path.read_text() == "mine\nand mine"


def test_lists_that_depend_on_others_are_kept(tmp_path):
    space = {"rate": [0.01, 0.1], "width": lambda chosen: [2, 3] if chosen["rate"] < 0.05 else [4]}
    study = run(tmp_path, space=space, pruner=None, search="tpe", trials=4)
    with opened(f"sqlite:///{tmp_path}/study.db") as found:
        assert len(found.trials) == len(study.trials) == 4
        names = {name for trial in found.trials for name in trial.params}
    assert names == {"rate", "width of [2, 3]", "width of [4]"}


def test_the_memory_of_a_study_stays_its_own(tmp_path, monkeypatch):
    """A study that goes on, on a machine with other memory, packs its lanes as it began."""
    seen = []

    def run_task(function, task, **_):
        seen.append(task.memory)
        raise KeyboardInterrupt

    monkeypatch.setattr("verax.tune.executors._local.run_task", run_task)
    for memory in (12345, 999):
        monkeypatch.setattr("verax.tune._kept.program_bytes", lambda memory=memory: memory)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, executor=vx.tune.executors.Local(linear, threads=1))
    assert set(seen) == {12345}


class Killed(BaseException):
    pass


def test_a_study_that_ends_after_every_write_is_the_same(tmp_path, known, monkeypatch):
    """Between any two writes: of a task, and of each of its trials."""
    kept = _storage.OptunaStorage
    record, finish = kept.record, kept.finish

    def record_and_end(self, result):
        record(self, result)
        raise Killed

    def finish_and_end(self, trial):
        is_new = trial.number not in self.finished
        finish(self, trial)
        if is_new:
            raise Killed

    monkeypatch.setattr(kept, "record", record_and_end)
    monkeypatch.setattr(kept, "finish", finish_and_end)
    monkeypatch.setattr("verax.tune._check.changes_something", lambda *_: True)
    kills = 0
    while True:
        try:
            study = run(tmp_path)
            break
        except Killed:
            kills += 1
    assert kills == len(study.facts["lanes"]) + len(study.trials)
    assert told(study) == told(known)
    np.testing.assert_allclose([each.value for each in study.trials], [each.value for each in known.trials], rtol=1e-5)
    assert_kept(f"sqlite:///{tmp_path}/study.db", study)


# A real server of PostgreSQL.


@pytest.fixture(scope="module")
def postgresql():
    """The URL of a database of a server that runs meanwhile, on a socket in a folder of its own."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'verax[postgresql]'")
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *os.environ["PATH"].split(os.pathsep)]
    programs = next((place for place in map(Path, places) if (place / "initdb").exists()), None)
    if programs is None:
        pytest.skip("PostgreSQL is not installed: its initdb was not found")
    owner = {}
    if os.getuid() == 0:  # it refuses to run as root
        names = [each.pw_name for each in pwd.getpwall() if each.pw_name in ("postgres", "nobody")]
        if not names:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")
        user = pwd.getpwnam(sorted(names)[-1])
        owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    folder = Path(tempfile.mkdtemp(prefix="verax-", dir="/tmp"))  # a socket's path is short, and others may enter it
    if owner:
        os.chown(folder, owner["user"], owner["group"])
    try:
        new = [programs / "initdb", "-D", folder / "data", "-U", "verax", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([*new, "--locale=C"], check=True, capture_output=True, cwd=folder, **owner)
        with (folder / "log").open("w") as log:
            start = [programs / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses=", "-F"]
            server = subprocess.Popen(start, stdout=log, stderr=log, cwd=folder, **owner)
        try:
            yield answering(f"host={folder} user=verax dbname=postgres", server, folder / "log") and (
                f"postgresql+psycopg://verax@/postgres?host={folder}"
            )
        finally:
            server.terminate()
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def answering(address, server, log):
    """Whether a server answers within a minute."""
    import psycopg

    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(address):
            return True
        time.sleep(0.1)
    raise AssertionError(f"PostgreSQL did not start: {log.read_text()}")


def test_plain_urls_of_postgresql_take_psycopg(postgresql):
    url = postgresql.replace("+psycopg", "")
    assert len(run(url, name="plain", space={"rate": [0.01, 0.1]}, pruner=None).trials) == 2
