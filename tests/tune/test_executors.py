import json
import os
import signal
import sys
import time
from dataclasses import replace

import jax
import psutil
import pytest

import verax as vx
from tests.tune.processes import started
from tests.tune.studies import SPACE, assert_same, deadly, faulty, linear, noisy
from verax.findings import InputError
from verax.tune import LaneResult, Task, TaskResult
from verax.tune.executors import Local, Processes, Ray, executor_of
from verax.tune.executors._remote import answer, origin_of, request, result_of


@pytest.fixture(scope="module")
def local():
    return vx.tune(linear, SPACE, retrain=0)


def task(**changes):
    settings = ({"rate": 0.1}, {"rate": 0.01})
    return replace(Task("g0-0", (0, 1), settings, ((0,), (0,)), {"width": 2}, ("rate",), ()), **changes)


# What tasks and results are as text.


def test_a_task_survives_text():
    one = task(fixed={"sizes": (8, (4, 2)), "names": ["a", None], "rate": 0.1}, states=(b"\x00\xff", b""), until=3)
    assert Task.from_json(one.to_json()) == one
    assert "\n" not in one.to_json()


def test_a_result_survives_text():
    lane = LaneResult(3, {"validation/loss": ((0.1, None), (0.3, 0.4))}, (None, 7), 10, 0.5)
    one = TaskResult("g0-0", (lane,), lanes=2, stopping={"patience": 3}, states=(b"\x01",))
    assert TaskResult.from_json(one.to_json()) == one


def test_a_hyperparameter_without_a_plain_value_is_refused_before_anything_runs():
    class Unique:
        def __deepcopy__(self, memo):
            raise AssertionError("it was copied")

    with pytest.raises(InputError, match="need plain hyperparameters, but 'source' is of type Unique"):
        task(fixed={"source": Unique()}).to_json()
    with Processes(linear, 1) as runner, pytest.raises(InputError, match="'source' is of type Unique"):
        next(runner.run([task(fixed={"source": Unique()})]))
    assert not runner.idle and not runner.busy


# Which executor a name gives.


def test_names_of_executors():
    assert isinstance(executor_of("local", linear), Local)
    assert executor_of("processes:3", linear).processes == 3
    assert executor_of("processes", linear).processes == len(os.sched_getaffinity(0))
    own = Local(linear, threads=1)
    assert executor_of(own, linear) is own


@pytest.mark.parametrize(("name", "address"), [("ray", None), ("ray:h:6379", "h:6379"), ("ray://h:10001",) * 2])
def test_names_of_ray(name, address):
    pytest.importorskip("ray", reason="Ray is not installed")
    assert executor_of(name, linear).address == address


@pytest.mark.parametrize(
    "name", ["", "locally", "process", "processes:", "processes:0", "processes:-1", "processes:two"]
)
def test_a_wrong_name_is_refused(name):
    with pytest.raises(InputError, match=r"executor must (be one of local|name a number of processes)"):
        executor_of(name, linear)


@pytest.mark.parametrize("name", ["ray:", "rays", "ray//h", "local:2", 3, None])
def test_other_things_are_refused(name):
    with pytest.raises(InputError, match="executor must be one of local, processes, processes:N, ray, ray:ADDRESS or"):
        executor_of(name, linear)


def test_a_function_without_a_file_is_refused_before_anything_runs():
    def closure(rate):
        raise AssertionError("it was called")

    for given in (closure, lambda rate: closure(rate)):
        with pytest.raises(InputError, match=r"top level of a Python file.*got test_a_function.*use executor='local'"):
            vx.tune(given, {"rate": [0.1, 0.2]}, executor="processes:1")


def test_without_ray_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"executor='ray' needs Ray.*pip install 'verax\[ray\]'"):
        Ray(linear)


# What another process is told and answers.


def test_a_file_that_is_there_finds_its_neighbours(tmp_path):
    (tmp_path / "neighbour_of_verax.py").write_text("from tests.tune.studies import linear\n")
    path = tmp_path / "experiment.py"
    path.write_text("import neighbour_of_verax\ndef made(rate, width): return neighbour_of_verax.linear(rate, width)\n")
    told = request({"path": str(path), "source": path.read_text(), "function": "made"}, task())
    assert len(result_of(answer(told), task()).trials) == 2
    sys.path.remove(str(tmp_path))
    del sys.modules["neighbour_of_verax"]


def test_a_file_that_is_not_there_or_another_runs_from_a_folder_of_its_own(tmp_path):
    path = tmp_path / "experiment.py"
    source = (
        "from tests.tune.studies import linear\nprint(__file__)\ndef made(rate, width): return linear(rate, width)\n"
    )
    for text in (None, "def made(rate, width): raise AssertionError('the file there was taken')\n"):
        if text:
            path.write_text(text)
        told = request({"path": str(path), "source": source + f"# {text}", "function": "made"}, task())
        assert len(result_of(answer(told), task()).trials) == 2
    assert str(tmp_path) not in sys.path


def test_another_version_is_refused():
    content = json.loads(request(origin_of(linear), task()))
    told = json.dumps({**content, "version": "0.0.1"})
    with pytest.raises(InputError, match=r"is driven by Verax 0\.0\.1 and a worker has \d"):
        result_of(answer(told), task())


def test_a_missing_function_is_said():
    told = request({**origin_of(linear), "function": "quadratic"}, task())
    with pytest.raises(InputError, match=r"studies\.py must define a function quadratic"):
        result_of(answer(told), task())


def test_the_least_memory_decides_the_lanes(monkeypatch):
    """A program is halved until it fits what the study allows, or what the machine does."""
    with Local(linear, threads=1) as runner:
        (whole,) = runner.run([task()])
        (cut,) = runner.run([replace(task(), memory=whole.peak_bytes - 1)])
        monkeypatch.setattr("verax.tune._lanes.program_bytes", lambda at_once: whole.peak_bytes - 1)
        (here,) = runner.run([replace(task(), memory=whole.peak_bytes)])
    assert (whole.lanes, cut.lanes, here.lanes) == (2, 1, 1)
    for one, two in zip(whole.trials, cut.trials, strict=True):  # float32 in another order
        assert two.curves["validation/loss"][0] == pytest.approx(one.curves["validation/loss"][0], rel=1e-5)


# Whole studies.


def test_processes_give_the_same_study_whatever_the_users_code_prints(local, monkeypatch, capfd):
    monkeypatch.setenv("DRIVER", str(os.getpid()))
    assert_same(vx.tune(noisy, SPACE, retrain=0, executor="processes:2"), local)
    assert "nonsense" in capfd.readouterr().err


def test_a_worker_that_is_killed_is_replaced(local, tmp_path):
    marker = tmp_path / "killed"
    found = vx.tune(
        deadly, {"rate": SPACE["rate"]}, retrain=0, executor="processes:1", driver=os.getpid(), marker=str(marker)
    )
    assert marker.exists()
    assert [trial.value for trial in found.trials] == pytest.approx([local.trials[0].value, local.trials[2].value])


def test_a_task_that_kills_its_workers_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("verax.tune.executors._processes.TRIES", 2)
    given = {"driver": os.getpid(), "marker": str(tmp_path / "killed"), "always": True}
    with pytest.raises(RuntimeError, match=r"trials 0, 1 \(task g0-0\) ended 2 worker processes.*with signal 9"):
        vx.tune(deadly, {"rate": [0.1, 0.2]}, retrain=0, executor="processes:1", **given)
    assert not [each for each in psutil.Process().children() if "_worker" in " ".join(each.cmdline())]


def test_an_error_of_the_users_code_is_told_with_its_traceback():
    with pytest.raises(
        RuntimeError, match=r"task g0-0\) failed in another process: ZeroDivisionError: a fault"
    ) as told:
        vx.tune(faulty, {"rate": [0.1, 0.2]}, retrain=0, executor="processes:1", driver=os.getpid())
    assert "studies.py" in told.value.__notes__[0] and "in faulty" in told.value.__notes__[0]


def test_settings_of_jax_reach_the_workers():
    """The suite runs with strict promotion, set in code; a worker that did not have it would answer."""
    assert jax.config.values["jax_numpy_dtype_promotion"] == "strict"
    content = json.loads(request(origin_of(linear), task()))
    assert content["numerics"]["jax_numpy_dtype_promotion"] == "strict"


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_is_left_after_an_interrupt(kind, tmp_path):
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import os, time\nfrom tests.tune.studies import linear\n"
        "def slow(rate, driver):\n    time.sleep(60 * (os.getpid() != driver))\n    return linear(rate)\n"
    )
    program = (
        "import os, signal, slow, verax as vx\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job is started with it ignored
        "space = {'rate': [0.1, 0.2]}\n"
        "for event in vx.tune.events(slow.slow, space, executor='processes:1', driver=os.getpid()):\n"
        "    print('planned', flush=True)\n"
    )
    with started(program, tmp_path) as driver:
        assert driver.stdout.readline() == "planned\n"
        workers = waited_for(lambda: psutil.Process(driver.pid).children(), 30)
        time.sleep(0.5)
        driver.send_signal(kind)
        errors = driver.stderr.read()  # its end: the workers hold it too
        assert driver.wait(30) == (-kind if kind == signal.SIGKILL else driver.returncode) != 0
    assert ("KeyboardInterrupt" in errors) == (kind == signal.SIGINT)
    waited_for(lambda: not any(worker.is_running() for worker in workers), 30)


def waited_for(condition, seconds):
    """Returns what a condition gives, as soon as it gives something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"nothing within {seconds} seconds")


def test_local_gives_up_what_waits_when_it_is_interrupted(monkeypatch):
    """What runs is waited for; what waits is never begun."""
    begun = []

    def run_task(function, task, **_):
        begun.append(task.name)
        time.sleep(0.2)
        return TaskResult(task.name, ())

    monkeypatch.setattr("verax.tune.executors._local.run_task", run_task)
    with pytest.raises(KeyboardInterrupt), Local(linear, threads=1) as runner:
        for _ in runner.run([task(name=f"g0-{at}") for at in range(20)]):
            raise KeyboardInterrupt
    assert 1 <= len(begun) <= 3
