"""Runs written for experiment trackers. TensorBoard's files are read back; W&B and MLflow are stand-ins that record
what they are told: the real services are not contacted."""

import contextlib
import dataclasses
import math
import shutil
import sys
import types

import pytest

import verax as vx
from verax.report._writers import follow, outcome, scalars, tracked
from verax.report._writers_mlflow import mlflow_writer
from verax.report._writers_tensorboard import tensorboard_writer
from verax.train import History, Record

RECORDS = (
    Record("event", 0, 0, {"total_steps": 4, "parameters": 7, "compile_seconds": 0.5}, 0.0),
    Record("chunk", 3, 1, {"train/loss": (1.5, math.nan, math.inf), "nonfinite_gradient_steps": (2,)}, 0.25),
    Record("chunk", 4, 1, {"train/loss": (0.5,)}, 0.5),
    Record("epoch", 4, 1, {"train/loss": 0.875, "validation/loss": 0.25, "validation/accuracy": 0.75}, 0.75),
    Record("event", 4, 1, {"stopped": "all 4 steps were taken", "facts": {"steps": 4, "memory": {"x": 1}}}, 1.0),
)
CHOSEN = '{"hidden": 8, "kind": "adam", "sizes": [1, 2]}'
EXPERIMENT = f'{{"format": 1, "function": "experiment", "hyperparameters": {CHOSEN}, "seed": 3}}'
EXPECTED = {  # (name, step): value, written out by hand
    ("train/loss", 1): 1.5,
    ("train/loss", 2): math.nan,
    ("train/loss", 3): math.inf,
    ("train/loss", 4): 0.5,
    ("train/epoch_loss", 4): 0.875,
    ("validation/loss", 4): 0.25,
    ("validation/accuracy", 4): 0.75,
}
FINAL = {
    ("final/train/epoch_loss", 4): 0.875,
    ("final/validation/loss", 4): 0.25,
    ("final/validation/accuracy", 4): 0.75,
}


@pytest.fixture
def folder(tmp_path):
    """A run folder as `train` leaves it."""
    path = tmp_path / "run"
    path.mkdir()
    (path / "experiment.json").write_text(EXPERIMENT)
    (path / "history.jsonl").write_text(History(RECORDS).to_jsonl())
    return path


def same(found, expected):
    assert found.keys() == expected.keys()
    for place, value in expected.items():
        assert found[place] == pytest.approx(value, nan_ok=True), place


def events(folder):
    """Every event in a folder's TensorBoard files, parsed from the records of the files themselves."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content, at = path.read_bytes(), 0
        while at < len(content):  # TFRecord: length (8 bytes), its checksum (4), the event, its checksum (4)
            length = int.from_bytes(content[at : at + 8], "little")
            found.append(Event.FromString(content[at + 12 : at + 12 + length]))
            at += 16 + length
    return found


def scalar_events(folder):
    return {
        (value.tag, event.step): value.simple_value
        for event in events(folder)
        for value in event.summary.value
        if value.WhichOneof("value") == "simple_value"
    }


def test_every_number_stands_at_its_own_step():
    same({(each.name, each.step): each.value for record in RECORDS for each in scalars(record)}, EXPECTED)


def test_only_the_last_record_has_the_outcome():
    assert [outcome(record) for record in RECORDS[:-1]] == [None] * 4
    assert outcome(RECORDS[-1]) == {"stopped": "all 4 steps were taken", "failed": False, "steps": 4}


def test_a_run_has_the_same_id_each_time_and_another_run_another(folder):
    first = tracked(folder)
    assert tracked(folder) == first
    assert first.hyperparameters == {"hidden": 8, "kind": "adam", "sizes": [1, 2], "seed": 3}
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    assert tracked(other).id != first.id
    (folder / "experiment.json").write_text(EXPERIMENT.replace("8", "9"))
    assert tracked(folder).id != first.id


def test_tensorboard_files_hold_every_value_of_the_history(folder):
    pytest.importorskip("tensorboardX")
    assert vx.report.tensorboard(folder) == folder
    same(scalar_events(folder), {**EXPECTED, **FINAL})
    started = (folder / "experiment.json").stat().st_mtime
    times = {event.wall_time - started for event in events(folder) if event.summary.value and event.step == 4}
    assert {0.5, 0.75, 1.0} <= {round(each, 3) for each in times}


def test_tensorboard_shows_the_hyperparameters_in_the_same_file(folder):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    vx.report.tensorboard(folder)
    found = {}
    for event in events(folder):
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "hparams":
                data = HParamsPluginData.FromString(value.metadata.plugin_data.content)
                found |= dict(data.session_start_info.hparams.items())
    assert found["hidden"].number_value == 8
    assert found["kind"].string_value == "adam"
    assert found["sizes"].string_value == "[1, 2]"


def test_tensorboard_files_are_replaced_and_others_left_alone(folder, tmp_path):
    pytest.importorskip("tensorboardX")
    theirs = folder / "events.out.tfevents.1.host"
    theirs.write_bytes(b"")
    vx.report.tensorboard(folder)
    once = scalar_events(folder)
    vx.report.tensorboard(folder)
    same(scalar_events(folder), once)
    assert len(list(folder.glob("*.verax"))) == 1
    assert theirs.exists()
    assert vx.report.tensorboard(folder, tmp_path / "elsewhere") == tmp_path / "elsewhere"
    same(scalar_events(tmp_path / "elsewhere"), once)


def test_a_damaged_value_would_be_noticed(folder):
    pytest.importorskip("tensorboardX")
    text = (folder / "history.jsonl").read_text().replace("0.875", "0.876")
    (folder / "history.jsonl").write_text(text)
    vx.report.tensorboard(folder)
    with pytest.raises(AssertionError, match="train/epoch_loss"):
        same(scalar_events(folder), {**EXPECTED, **FINAL})


def test_following_a_run_writes_what_replaying_it_does(folder, tmp_path):
    pytest.importorskip("tensorboardX")
    seen = []

    def records():
        for record in RECORDS:
            yield record
            seen.append(len(events(tmp_path)))  # what is on disk when the next record is asked for
        return "the run"

    steps = follow(records(), [lambda: tensorboard_writer(tracked(folder), tmp_path)])
    passed = []
    while True:
        try:
            passed.append(next(steps))
        except StopIteration as end:
            assert end.value == "the run"
            break
    assert tuple(map(repr, passed)) == tuple(map(repr, RECORDS))
    assert seen == [1, 4, 5, 8, 8 + len(FINAL) + 4]  # the file's head; then each record's own, with text and hparams
    same(scalar_events(tmp_path), {**EXPECTED, **FINAL})


def test_a_tracker_that_fails_does_not_end_the_training():
    def write(record):
        raise OSError("no route to host")

    @contextlib.contextmanager
    def opened():
        yield write

    steps = follow((record for record in RECORDS), [opened])
    with pytest.warns(UserWarning, match="no route to host"):
        assert len(list(steps)) == len(RECORDS)


def test_an_empty_history_is_refused(folder):
    pytest.importorskip("tensorboardX")
    (folder / "history.jsonl").unlink()
    with pytest.raises(vx.InputError, match=r"holds no history.jsonl"):
        vx.report.tensorboard(folder)
    assert not list(folder.glob("events*"))


@pytest.mark.parametrize(
    ("name", "library", "extra"),
    [("tensorboard", "tensorboardX", "tensorboard"), ("wandb", "wandb", "wandb"), ("mlflow", "mlflow", "mlflow")],
)
def test_an_absent_library_names_its_extra(name, library, extra, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        ImportError, match=rf"needs {library}, which is not installed. Run: pip install 'verax\[{extra}\]'"
    ):
        getattr(vx.report, name)(folder)


class FakeWandb(types.ModuleType):
    """Stands in for W&B: keeps runs by id, as the service does, and refuses a step that lies behind."""

    def __init__(self):
        super().__init__("wandb")
        self.runs, self.calls = {}, []

    def init(self, **arguments):
        self.calls.append(arguments)
        known = self.runs.setdefault(arguments["id"], types.SimpleNamespace(logged={}, summary={}, step=0))

        def log(values, step):
            assert step >= known.step, "W&B drops a step that lies behind"
            known.step = step
            known.logged.setdefault(step, {}).update(values)

        def finish(exit_code):
            known.code, known.step = exit_code, known.step + 1

        resumed = known.step > 0
        return types.SimpleNamespace(log=log, finish=finish, summary=known.summary, step=known.step, resumed=resumed)


def test_wandb_is_told_every_value_once(folder, monkeypatch):
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    run_id = vx.report.wandb(folder, "digits", mode="offline")
    assert fake.calls[0].items() >= {"project": "digits", "name": "run", "mode": "offline", "resume": "allow"}.items()
    assert fake.calls[0]["config"]["hidden"] == 8
    known = fake.runs[run_id]
    same({(name, step): value for step, values in known.logged.items() for name, value in values.items()}, EXPECTED)
    assert known.summary["stopped"] == "all 4 steps were taken"
    assert known.code == 0
    before = {step: dict(values) for step, values in known.logged.items()}
    assert vx.report.wandb(folder, "digits") == run_id
    assert repr(known.logged) == repr(before)
    assert len(fake.runs) == 1


class FakeMlflow(types.ModuleType):
    """Stands in for MLflow: one store, with its limit on what is taken at once."""

    def __init__(self):
        super().__init__("mlflow")
        self.entities = types.ModuleType("mlflow.entities")
        self.entities.Metric = lambda key, value, timestamp, step: types.SimpleNamespace(
            key=key, value=value, timestamp=timestamp, step=step
        )
        self.entities.Param = lambda key, value: types.SimpleNamespace(key=key, value=value)
        self.groups, self.runs, self.uris = {}, {}, []

    def MlflowClient(self, tracking_uri):
        self.uris.append(tracking_uri)
        return self

    def get_experiment_by_name(self, name):
        return types.SimpleNamespace(experiment_id=self.groups[name]) if name in self.groups else None

    def create_experiment(self, name):
        return self.groups.setdefault(name, str(len(self.groups) + 1))

    def search_runs(self, groups, filter_string, max_results):
        return [run for run in self.runs.values() if f"'{run.tags['verax.id']}'" in filter_string][:max_results]

    def create_run(self, group, tags, run_name, start_time):
        run_id = f"r{len(self.runs)}"
        self.runs[run_id] = types.SimpleNamespace(
            info=types.SimpleNamespace(run_id=run_id), tags=dict(tags), name=run_name, metrics=[], params={}, status=""
        )
        return self.runs[run_id]

    def log_batch(self, run_id, metrics=(), params=()):
        assert len(metrics) <= 1000 and len(params) <= 100
        self.runs[run_id].metrics += metrics
        self.runs[run_id].params.update({each.key: each.value for each in params})

    def get_metric_history(self, run_id, name):
        return [each for each in self.runs[run_id].metrics if each.key == name]

    def set_tag(self, run_id, key, value):
        self.runs[run_id].tags[key] = value

    def set_terminated(self, run_id, status):
        self.runs[run_id].status = status


@pytest.fixture
def fake_mlflow(monkeypatch):
    fake = FakeMlflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    monkeypatch.setitem(sys.modules, "mlflow.entities", fake.entities)
    return fake


def test_mlflow_is_told_every_value_once(folder, fake_mlflow):
    run_id = vx.report.mlflow(folder, "sqlite:///mlflow.db", experiment="digits")
    known = fake_mlflow.runs[run_id]
    assert fake_mlflow.uris == ["sqlite:///mlflow.db"]
    same({(each.key, each.step): each.value for each in known.metrics}, EXPECTED)
    assert len(known.metrics) == len(EXPECTED)
    assert known.params == {"hidden": "8", "kind": "adam", "sizes": "[1, 2]", "seed": "3"}
    assert (known.status, known.tags["verax.stopped"]) == ("FINISHED", "all 4 steps were taken")
    assert vx.report.mlflow(folder, "sqlite:///mlflow.db", experiment="digits") == run_id
    assert len(known.metrics) == len(EXPECTED)
    assert len(fake_mlflow.runs) == 1


def test_a_run_that_was_cut_off_is_completed_when_it_is_written_again(folder, fake_mlflow):
    with pytest.raises(KeyboardInterrupt), mlflow_writer(tracked(folder), None) as write:
        write(RECORDS[1])
        raise KeyboardInterrupt
    (known,) = fake_mlflow.runs.values()
    assert known.status == "KILLED"
    vx.report.mlflow(folder)
    same({(each.key, each.step): each.value for each in known.metrics}, EXPECTED)
    assert (len(fake_mlflow.runs), known.status) == (1, "FINISHED")


def test_long_histories_are_sent_in_parts(folder, fake_mlflow):
    losses = tuple(float(step) for step in range(2500))
    last = dataclasses.replace(RECORDS[-1], values={"stopped": "not finite at step 2500"})
    (folder / "history.jsonl").write_text(
        History((Record("chunk", 2500, 1, {"train/loss": losses}, 1.0), last)).to_jsonl()
    )
    known = fake_mlflow.runs[vx.report.mlflow(folder)]
    assert [each.value for each in known.metrics] == list(losses)
    assert known.status == "FAILED"
