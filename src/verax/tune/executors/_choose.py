"""From the name of an executor to what runs tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from verax.findings import InputError
from verax.train import Experiment
from verax.tune._task import Task, TaskResult
from verax.tune.executors._local import Local
from verax.tune.executors._processes import Processes
from verax.tune.executors._ray import Ray

KINDS = "local, processes, processes:N, ray, ray:ADDRESS or ray://HOST:PORT"


@runtime_checkable
class Executor(Protocol):
    """What runs tasks. Used as a context: it is closed at the end, also after an error or Ctrl-C."""

    def __enter__(self) -> Executor: ...

    def __exit__(self, *exception: object) -> None: ...

    def run(self, tasks: Sequence[Task]) -> Iterator[TaskResult]:
        """Yields what came of the tasks, each when it is done."""
        ...


def executor_of(given: Any, function: Callable[..., Experiment]) -> Executor:
    """Returns the executor of a name; one that is made already is returned as it is.

    All give the same trials, and values that differ by no more than the rounding of float32.

    Args:
      given: `local` trains in threads of this process; `processes` in one process for each core, `processes:N` in N;
        `ray` on the Ray cluster of this machine or of RAY_ADDRESS, or one that is started here and ends with the study;
        `ray:HOST:PORT` on the cluster of that address, `ray://HOST:PORT` through its client server.
      function: the user's, from hyperparameters to an Experiment.

    Raises:
      InputError: if there is no such executor, or the function cannot be made again in another process.
      ImportError: if `ray` is not installed.
    """
    if not isinstance(given, str):
        if not isinstance(given, Executor):
            raise InputError(f"executor must be one of {KINDS}, got {given!r}.")
        return given
    if given == "local":
        return Local(function)
    kind, colon, rest = given.partition(":")
    if kind == "processes":
        return Processes(function, _count(given, rest) if colon else None)
    if kind == "ray" and (rest or not colon):
        return Ray(function, (given if rest.startswith("//") else rest) or None)
    raise InputError(f"executor must be one of {KINDS}, got {given!r}.")


def _count(given: str, rest: str) -> int:
    if not (rest.isascii() and rest.isdigit()) or int(rest) < 1:
        raise InputError(f"executor must name a number of processes of at least 1, such as processes:4, got {given!r}.")
    return int(rest)
