"""What another process is told and what it answers: text, from which it makes the user's function and the task."""

from __future__ import annotations

import functools
import json
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from verax import __version__
from verax.findings import InputError
from verax.train import Experiment, SourceFile
from verax.train._source import source_of
from verax.tune._lanes import run_task
from verax.tune._task import Task, TaskResult

# Settings of JAX that change numbers: set in code, they do not reach another process by themselves.
NUMERICS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_numpy_dtype_promotion",
)


def origin_of(function: Callable[..., Experiment]) -> dict[str, str]:
    """Returns from what another process can make a function: path and text of its file, and its name.

    Raises:
      InputError: if it cannot be made again from a file.
    """
    source = source_of(function)
    if source is None:
        name = getattr(function, "__qualname__", type(function).__name__)
        raise InputError(
            "trials in other processes need an experiment function at the top level of a Python file, which they load "
            f"again, got {name}. Move it there, or use executor='local'."
        )
    return {"path": source.path, "source": source.text, "function": function.__name__}


def request(origin: dict[str, str], task: Task, **more: Any) -> str:
    """Returns a task as another process is told it, in one line.

    Args:
      origin: of the function.
      task: the trials.
      **more: what `answer` takes beside these.

    Raises:
      InputError: if a hyperparameter has no plain value.
    """
    numerics = {name: jax.config.values[name] for name in NUMERICS}
    content = {"version": __version__, "numerics": numerics, **origin, "task": task.to_json(), **more}
    return json.dumps(content)


def answer(request: str) -> str:
    """Returns the answer of the process that was told a task, in one line: a result, or what went wrong."""
    try:
        content = json.loads(request)
        result = _result(**content)
    except (Exception, SystemExit) as error:  # whatever the user's code raises is for the process that asked
        is_input = isinstance(error, InputError)
        told = str(error) if is_input else f"{type(error).__name__}: {error}"
        return json.dumps({"error": told, "is_input": is_input, "traceback": traceback.format_exc()})
    return json.dumps({"result": result.to_json()})


def result_of(answer: str, task: Task) -> TaskResult:
    """Returns the result that another process answered with.

    Raises:
      InputError: if that is what it met with.
      RuntimeError: if the user's code raised anything else; its traceback is a note of the error.
    """
    content = json.loads(answer)
    if "result" in content:
        return TaskResult.from_json(content["result"])
    if content["is_input"]:
        raise InputError(content["error"])
    error = RuntimeError(f"{described(task)} failed in another process: {content['error']}")
    error.add_note(content["traceback"])
    raise error


def described(task: Task) -> str:
    """Returns a task in words: `trials 0, 4 and 8 (task g0-1)`, the first few of them."""
    numbers = [str(number) for number in task.numbers[:4]]
    few = ", ".join(numbers) + (", ..." if len(task.numbers) > 4 else "")
    return f"trial{'s' if len(task.numbers) > 1 else ''} {few} (task {task.name})"


def _result(
    version: str,
    numerics: dict[str, Any],
    path: str,
    source: str,
    function: str,
    task: str,
    at_once: int = 1,
    is_same_machine: bool = False,
) -> TaskResult:
    if version != __version__:
        raise InputError(f"the study is driven by Verax {version} and a worker has {__version__}. Install one of them.")
    for name, value in numerics.items():
        if jax.config.values[name] != value:
            jax.config.update(name, value)
    made = _function(path, source, function, is_same_machine)
    return run_task(made, Task.from_json(task), at_once=at_once)


@functools.lru_cache(maxsize=4)
def _function(path: str, source: str, name: str, is_same_machine: bool) -> Callable[..., Experiment]:
    """Returns the user's function, made from its source.

    It runs as from its own place where the same file is there, so that it finds its neighbours; else from a folder of
    its own.
    """
    if not is_same_machine and not _is_there(path, source):
        folder = Path(_folder().name) / SourceFile(path, source).sha256
        folder.mkdir(exist_ok=True)
        path = str(folder / Path(path).name)
        Path(path).write_text(source, encoding="utf-8")
    return SourceFile(path, source).function(name)


def _is_there(path: str, source: str) -> bool:
    try:
        return Path(path).read_text(encoding="utf-8") == source
    except (OSError, UnicodeDecodeError):
        return False


@functools.lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="verax-")
