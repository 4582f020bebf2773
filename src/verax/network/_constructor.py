"""What makes a module when it is given a source of randomness: a class, a `functools.partial` of it, or a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from verax.findings import InputError


def constructor_name(constructor: Any) -> str:
    """Returns the name of the class or function that makes a module.

    Example:
      >>> constructor_name(functools.partial(dict, a=1))
      'dict'
    """
    function = constructor.func if isinstance(constructor, functools.partial) else constructor
    return getattr(function, "__name__", type(constructor).__name__)


def check_constructor(constructor: Any, argument: str, *, adapter: str, example: str) -> None:
    """Raises if a constructor needs anything but one argument, given by name where it has that name.

    Args:
      constructor: what is to make a module.
      argument: the name of its argument, `key` or `rngs`.
      adapter: for the message: `from_nnx`.
      example: likewise, how other arguments are bound.

    Raises:
      TypeError: if it cannot be called.
      InputError: if it needs other arguments.
    """
    if not callable(constructor):
        raise TypeError(f"{adapter} takes a module, or what makes one, got {type(constructor).__name__}.")
    signature = _signature(constructor)
    try:
        signature.bind(**{argument: None}) if _by_name(signature, argument) else signature.bind(None)
    except TypeError as error:
        raise InputError(
            f"{constructor_name(constructor)} must need nothing but {argument} to make a module, got {signature}: "
            f"{error}. Bind its other arguments: {example}."
        ) from error


def construct(constructor: Callable[..., Any], argument: str, value: Any) -> Any:
    """Returns what a constructor makes."""
    return constructor(**{argument: value}) if _by_name(_signature(constructor), argument) else constructor(value)


def _by_name(signature: inspect.Signature, argument: str) -> bool:
    kinds = [each.kind for each in signature.parameters.values()]
    return argument in signature.parameters or inspect.Parameter.VAR_KEYWORD in kinds


def _signature(constructor: Any) -> inspect.Signature:
    """Returns a signature; of a class that of its `__init__`, which a metaclass may hide."""
    if isinstance(constructor, functools.partial) and isinstance(constructor.func, type):
        init = functools.partial(constructor.func.__init__, None, *constructor.args, **constructor.keywords)
        return inspect.signature(init)
    if isinstance(constructor, type):
        return inspect.signature(functools.partial(constructor.__init__, None))
    return inspect.signature(constructor)
