"""Folders that can be called: `vx.train(experiment)` beside `vx.train.chunks` (docs/decisions/0001)."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


class CallableModule(ModuleType):
    """A module whose call is one of its functions."""

    _called: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._called(*args, **kwargs)


def make_callable(module_name: str, function: Callable[..., Any]) -> None:
    """Makes a call of a folder a call of one of its functions: the last line of the folder's `__init__.py`.

    `inspect.signature` and `help` of the folder show the function's signature and docstring too.

    Args:
      module_name: the folder's own `__name__`.
      function: what is called.
    """
    module = sys.modules[module_name]
    signature = inspect.signature(function)
    call = f"{module_name.rpartition('.')[2]}{signature}"
    module.__class__ = CallableModule
    vars(module).update(
        _called=function,
        __signature__=signature,
        __doc__=f"{module.__doc__ or ''}\n\nCalled, this folder is {call}:\n\n{_prose(function)}\n",
    )


def _prose(function: Callable[..., Any]) -> str:
    """Returns a docstring up to its example: `--doctest-modules` would run that once more as the folder's."""
    return (inspect.getdoc(function) or "").partition("\nExample")[0].rstrip()
