"""Tasks on a Ray cluster: each remote call runs one task, its trials batched, on a node that has room for it."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from verax.findings import InputError
from verax.train import Experiment
from verax.tune._lanes import cores
from verax.tune._task import Task, TaskResult, plain_setting
from verax.tune.executors._remote import answer, described, origin_of, request, result_of

PATIENCE = 10  # seconds to wait for an address
RETRIES = 5  # of a task whose node or worker was lost
STORE_BYTES = 100 * 2**20  # of a cluster that is started here: tasks and results are small
QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # tasks without a GPU keep CUDA_VISIBLE_DEVICES, and Ray its warning
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}


class Ray:
    """Runs tasks on a Ray cluster, whose nodes need Verax of the same version and what the user's file imports.

    A task carries the source of the user's file, not the function: a node that has the same file at the same place runs
    it there, so that it finds its neighbours; another runs it from a temporary folder. A task whose node or worker is
    lost runs again elsewhere. If this process has joined a cluster already, that one is used, and not left at the end.

    Args:
      function: the user's, from hyperparameters to an Experiment.
      address: of the cluster, as `ray.init` takes it: `HOST:PORT` or `ray://HOST:PORT`. None takes the cluster that
        RAY_ADDRESS names or that runs on this machine, and starts one here if there is none.
      resources: of a task, as `ray.remote` takes them: `{"num_cpus": 4, "num_gpus": 1}`; by default one core.

    Raises:
      ImportError: if Ray is not installed.
      InputError: if the function cannot be made again from a file, or the cluster cannot be reached.

    Example:
      `vx.tune(experiment, space, executor=Ray(experiment, "10.0.0.1:6379", {"num_cpus": 0, "num_gpus": 1}))`
    """

    def __init__(
        self,
        function: Callable[..., Experiment],
        address: str | None = None,
        resources: Mapping[str, Any] | None = None,
    ):
        self.ray = _imported()
        self.origin, self.address = origin_of(function), address
        self.resources = dict(resources or {"num_cpus": 1})
        self.running: dict[Any, Task] = {}
        self.is_own = False

    def __enter__(self) -> Ray:
        if not self.ray.is_initialized():
            self.is_own = True
            _connected(self.ray, self.address)
        return self

    def __exit__(self, *exception: object) -> None:
        for future in self.running:
            with contextlib.suppress(Exception):  # of a cluster that is gone there is nothing to cancel
                self.ray.cancel(future, force=True)
        self.running = {}
        if self.is_own:
            self.ray.shutdown()
            self.is_own = False

    def run(self, tasks: Sequence[Task]) -> Iterator[TaskResult]:
        """Yields what came of the tasks, each when it is done.

        Raises:
          InputError: if a hyperparameter has no plain value; before anything runs.
          RuntimeError: if the user's code raised an error, or a task lost its node or worker again and again.
        """
        for setting in (setting for task in tasks for setting in (task.fixed, *task.settings)):
            plain_setting(setting)
        remote = self.ray.remote(max_retries=RETRIES, **self.resources)(answer)
        self.running = {remote.remote(request(self.origin, task)): task for task in tasks}
        while self.running:
            (future,), _ = self.ray.wait(list(self.running), num_returns=1)
            task = self.running.pop(future)
            try:
                text = self.ray.get(future)
            except self.ray.exceptions.RayError as error:
                raise RuntimeError(
                    f"{described(task)} was lost by the cluster {RETRIES + 1} times: {type(error).__name__}: "
                    f"{str(error).strip().splitlines()[0]} Do the nodes have enough memory, and Verax?"
                ) from error
            yield result_of(text, task)


def _imported() -> Any:
    """Returns Ray.

    Raises:
      ImportError: if it is not installed.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ray
            import ray.exceptions
    except ImportError as error:
        raise ImportError("executor='ray' needs Ray, which is not installed. Run: pip install 'verax[ray]'") from error
    return ray


def _connected(ray: Any, address: str | None) -> None:
    """Joins a cluster, or starts one.

    Raises:
      InputError: if there is none at the address.
      ImportError: if the address is of a client server, for which Ray needs more.
    """
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    address = address or os.environ.get("RAY_ADDRESS")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if address is not None:
                _check_answers(address)
            ray.init(address or "auto", **quiet)
        except ImportError as error:
            raise ImportError(
                "ray://HOST:PORT needs the client of Ray, which is not installed. Run: pip install 'verax[ray]', or "
                "give ray:HOST:PORT on a machine of the cluster."
            ) from error
        except Exception as error:  # a ConnectionError, a ValueError of an address, or one of gRPC
            if address is None and isinstance(error, ConnectionError):
                own = {"num_cpus": cores(), "object_store_memory": STORE_BYTES, "include_dashboard": False}
                ray.init(**own, **quiet)
                return
            first = (str(error).strip().splitlines() or [""])[0].rstrip(".")
            raise InputError(
                f"no Ray cluster answers at {address}: {type(error).__name__}: {first}. Start one with `ray start "
                "--head` and give its address, such as ray:HOST:6379 or ray://HOST:10001."
            ) from error


def _check_answers(address: str) -> None:
    """Raises an error if nothing answers at an address: Ray itself asks for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("an address is HOST:PORT")
    socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
