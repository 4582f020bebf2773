"""A study on a real Ray cluster of two nodes on this machine, one of which is killed in the middle."""

import os
import time

import pytest

import verax as vx
from tests.tune.processes import import_path
from tests.tune.studies import WIDE, assert_same, linear
from verax.findings import InputError
from verax.tune import Trial, events
from verax.tune.executors import Ray

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'verax[ray]'")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of Ray's own pipes and sockets
    pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning"),  # JAX warns of how Ray starts its servers
]

STORE = 80 * 2**20  # bytes, the least that Ray takes
SOURCE = """
import os, time
from pathlib import Path
from tests.tune.studies import linear

seen = set()

def watched(rate, width, driver, log, doomed):
    if os.getpid() != driver and width not in seen:
        import ray
        seen.add(width)
        node = ray.get_runtime_context().get_node_id()
        with open(log, "a") as file:
            file.write(f"{node} {width}\\n")
        time.sleep(120 if node == doomed else 0)  # what is begun there does not end before the node does
    return linear(rate, width)
"""


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    assert not ray.is_initialized()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", import_path())  # of the nodes, which need Verax and what the user's file imports
        noticed = {  # a lost node within some seconds instead of half a minute
            "health_check_initial_delay_ms": 0,
            "health_check_period_ms": 500,
            "health_check_failure_threshold": 3,
        }
        node = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False, "_system_config": noticed}
        started = Cluster(initialize_head=True, head_node_args=node)
        yield started
        started.shutdown()


def test_a_node_that_is_killed_costs_no_trial(cluster, tmp_path):
    other = cluster.add_node(num_cpus=1, object_store_memory=STORE)
    path, log = tmp_path / "watched.py", tmp_path / "log"
    path.write_text(SOURCE)
    function = vx.train.read_source(path).function("watched")
    given = {"driver": os.getpid(), "log": str(log), "doomed": other.node_id}
    lost = None
    steps, finished = events(function, WIDE, executor=f"ray:{cluster.address}", retrain=0, **given), set()
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            study = end.value
            break
        if isinstance(event, Trial):
            finished.add(event.hyperparameters["width"])
            if lost is None:
                lost = begun_on(other.node_id, log, finished)
                cluster.remove_node(other, allow_graceful=False)
    assert not ray.is_initialized()
    lines = [line.split() for line in log.read_text().splitlines()]
    assert {node for node, width in lines if int(width) == lost} == {other.node_id, cluster.head_node.node_id}
    assert [trial.state for trial in study.trials] == ["complete"] * 8
    assert_same(study, vx.tune(linear, WIDE, retrain=0))


def begun_on(node, log, finished):
    """Returns the width of a program that a node is at, as soon as it has one."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        lines = [line.split() for line in log.read_text().splitlines()]
        going = [int(width) for where, width in lines if where == node and int(width) not in finished]
        if going:
            return going[-1]
        time.sleep(0.05)
    raise AssertionError("nothing was begun on the other node")


def test_a_cluster_that_was_joined_is_used_and_not_left(cluster):
    ray.init(cluster.address, log_to_driver=False)
    try:
        with Ray(linear, resources={"num_cpus": 0.5}) as runner:
            assert vx.tune(linear, {"rate": [0.01, 0.1]}, retrain=0, executor=runner).best.number == 1
        assert ray.is_initialized()
    finally:
        ray.shutdown()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "127.0.0.1:", "ray://127.0.0.1:1"])
def test_an_address_without_a_cluster_is_refused(address):
    with pytest.raises(InputError, match=f"no Ray cluster answers at {address}: .*ray start --head"):
        Ray(linear, address).__enter__()


def test_ray_address_is_taken(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(InputError, match=r"no Ray cluster answers at 127\.0\.0\.1:1: ConnectionRefusedError"):
        Ray(linear).__enter__()
