"""Tasks in this process: as many as keep the cores busy, so that some are compiled while others run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import jax

from verax.train import Experiment
from verax.tune._lanes import cores, run_task
from verax.tune._task import Task, TaskResult
from verax.tune.executors._settings import settings_of_this_thread, with_settings

MOST = 9  # threads: tracing holds Python's lock, so more of them would wait for one another


class Local:
    """Runs tasks in threads of this process.

    On a CPU there is one for each core, as small programs do not fill more than one, and one that traces meanwhile.
    Elsewhere there are two, one that compiles while the other has the device.

    After an error or Ctrl-C what waits is given up, and what runs is waited for: a thread cannot be ended.

    Args:
      function: the user's, from hyperparameters to an Experiment; a closure will do.
      threads: how many; None chooses.
    """

    def __init__(self, function: Callable[..., Experiment], threads: int | None = None):
        self.function = function
        on_cpu = jax.default_backend() == "cpu"
        self.threads = threads or (min(cores() + 1, MOST) if on_cpu else 2)
        self.device = None if on_cpu else threading.Lock()
        self.pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Local:
        self.pool = ThreadPoolExecutor(self.threads, "trial")
        return self

    def __exit__(self, *exception: object) -> None:
        assert self.pool is not None
        self.pool.shutdown(wait=True, cancel_futures=True)

    def run(self, tasks: Sequence[Task]) -> Iterator[TaskResult]:
        """Yields what came of the tasks, each when it is done."""
        assert self.pool is not None, "use the executor as a context"
        settings = settings_of_this_thread()
        shared = {"at_once": min(self.threads, len(tasks)), "device": self.device}
        futures = [self.pool.submit(with_settings, settings, run_task, self.function, task, **shared) for task in tasks]
        for future in as_completed(futures):
            yield future.result()
