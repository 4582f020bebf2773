"""From the name of an executor to what runs tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from verax.findings import InputError
from verax.train import Experiment
from verax.tune._task import Task, TaskResult
from verax.tune.executors._local import Local

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

    Raises:
      InputError: if there is no such executor, or the function cannot be made again in another process.
      ImportError: if `ray` is not installed.
    """
    if not isinstance(given, str):
        if not callable(getattr(given, "run", None)):
            raise InputError(f"executor must be one of {KINDS}, got {given!r}.")
        return given
    kind, _, rest = given.partition(":")
    if given == "local":
        return Local(function)
    raise InputError(f"executor must be one of {KINDS}, got {given!r}.")
