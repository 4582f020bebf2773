"""Tasks in processes beside this one: each a Python of its own, which lives as long as the study."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from verax.train import Experiment
from verax.tune._lanes import cores
from verax.tune._task import Task, TaskResult, plain_setting
from verax.tune.executors._remote import described, origin_of, request, result_of

TRIES = 3  # of a task whose worker died
COMMAND = (sys.executable, "-m", "verax.tune.executors._worker")


class Processes:
    """Runs tasks in worker processes, which load the user's file and are told hyperparameters, as lines of JSON.

    A worker that dies is replaced and its task tried again. Workers end with this object, and with this process however
    that ends: they watch their input. What the user's code prints goes to the standard error.

    Worth its start (some seconds a worker) where tasks wait for Python: data that is made by the experiment function,
    or networks that take long to trace. On an accelerator `local` is the one to use: one process holds the device.

    Args:
      function: the user's, from hyperparameters to an Experiment.
      processes: how many; None is one for each core.

    Raises:
      InputError: if the function cannot be made again from a file.
    """

    def __init__(self, function: Callable[..., Experiment], processes: int | None = None):
        self.origin = origin_of(function)
        self.processes = processes or cores()
        self.idle: list[_Worker] = []
        self.busy: dict[_Worker, tuple[Task, int]] = {}

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in (*self.idle, *self.busy):
            worker.end()
        self.idle, self.busy = [], {}

    def run(self, tasks: Sequence[Task]) -> Iterator[TaskResult]:
        """Yields what came of the tasks, each when it is done.

        Raises:
          InputError: if a hyperparameter has no plain value; before anything runs.
          RuntimeError: if the user's code raised an error, or a task ended its worker three times.
        """
        for setting in (setting for task in tasks for setting in (task.fixed, *task.settings)):
            plain_setting(setting)
        waiting = deque((task, 1) for task in tasks)
        with selectors.DefaultSelector() as selector:
            while waiting or self.busy:
                while waiting and len(self.busy) < self.processes:
                    worker = self.idle.pop() if self.idle else _Worker()
                    self.busy[worker] = waiting.popleft()
                    selector.register(worker.answers, selectors.EVENT_READ, worker)
                    worker.tell(self.line(self.busy[worker][0]))
                for key, _ in selector.select():
                    selector.unregister(key.fileobj)
                    answer = key.data.answer()
                    task, tries = self.busy.pop(key.data)
                    if answer is not None:
                        self.idle.append(key.data)
                        yield result_of(answer, task)
                        continue
                    fate = key.data.fate()
                    if tries == TRIES:
                        raise RuntimeError(
                            f"{described(task)} ended {TRIES} worker processes, the last with {fate}. Is there too "
                            "little memory? What the worker printed is above."
                        )
                    waiting.appendleft((task, tries + 1))

    def line(self, task: Task) -> str:
        """Returns what a worker is told."""
        return request(self.origin, task, at_once=self.processes, is_same_machine=True) + "\n"


class _Worker:
    """One worker process, with a pipe to it and one from it beside its standard streams."""

    def __init__(self) -> None:
        folders = [os.path.abspath(folder or os.getcwd()) for folder in sys.path]  # what this process can import
        its_input, requests = os.pipe()
        answers, its_output = os.pipe()
        self.requests, self.answers = os.fdopen(requests, "w", encoding="utf-8"), os.fdopen(answers, encoding="utf-8")
        try:
            self.process = subprocess.Popen(
                [*COMMAND, str(its_input), str(its_output)],
                stdin=subprocess.DEVNULL,
                stdout=2,
                pass_fds=(its_input, its_output),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(folders))},
                start_new_session=True,  # Ctrl-C is for the process that drives the study
            )
        finally:
            os.close(its_input)
            os.close(its_output)

    def tell(self, line: str) -> None:
        """Tells the worker a task; one that has died is noticed when its answer is read."""
        with contextlib.suppress(BrokenPipeError):
            self.requests.write(line)
            self.requests.flush()

    def answer(self) -> str | None:
        """Returns the next answer, or None if the worker has died."""
        line = self.answers.readline()
        return line if line.endswith("\n") else None

    def fate(self) -> str:
        """Returns how a worker that has died did so, in words."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)  # its output has ended, so it is about to
        self.end()
        code = self.process.returncode
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def end(self) -> None:
        """Ends the worker, whatever it does."""
        self.process.kill()
        self.process.wait()
        self.answers.close()
        with contextlib.suppress(BrokenPipeError):
            self.requests.close()
