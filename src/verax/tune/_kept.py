"""Where a study is kept, and what must be the same for one that is there to go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verax.data import load
from verax.findings import InputError
from verax.train import fingerprint
from verax.tune._given import Given
from verax.tune._judge import is_higher_better
from verax.tune._lanes import program_bytes
from verax.tune._opened import storage_in
from verax.tune._space import Interval
from verax.tune._storage import Memory, OptunaStorage
from verax.tune._task import plain_setting


def kept_in(given: Given, storage: str | Path | None, name: str) -> Memory | OptunaStorage:
    """Returns where a study is kept.

    Args:
      given: what it was asked for.
      storage: a folder, the URL of Optuna's storage, or None.
      name: of the study in the storage.

    Raises:
      InputError: as `OptunaStorage` says, or if a hyperparameter has no plain value.
    """
    memory = program_bytes()
    if storage is None:
        return Memory(memory)
    identity = _identity(given)
    return OptunaStorage(
        storage_in(storage) if isinstance(storage, Path) else storage,
        name,
        space=given.space,
        objective=given.objective,
        maximise=is_higher_better(given.objective),
        identity=identity,
        memory=memory,
    )


def _identity(given: Given) -> dict[str, Any]:
    """Returns what must be the same for a study to go on.

    Raises:
      InputError: if a hyperparameter has no plain value.
    """
    return {
        "space": {name: _described(name, each) for name, each in given.space.items()},
        "search": given.search,
        "seed": given.seed,
        "objective": given.objective,
        "fixed": plain_setting(given.fixed),
        "seeds": given.seeds,
        "trials": given.total,
        "pruner": repr(given.pruner) if given.pruner else None,
        "generation": given.generation,
        "program and data of digest": _first_program(given),
    }


def _described(name: str, given: Any) -> Any:
    if isinstance(given, Interval):
        return str(given)
    if callable(given):
        return f"a function: {getattr(given, '__qualname__', name)}"
    return plain_setting({name: given})[name]


def _first_program(given: Given) -> str:
    """Returns a digest of what the first trial computes on which data: a study goes on with the same only."""
    try:
        return fingerprint(given.first)[:12]
    except InputError:  # what is wrong with it is said when it is trained
        return load(given.first.data).fingerprint[:12]
