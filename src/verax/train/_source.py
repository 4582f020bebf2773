"""The user's file: read, hashed, and made into the function that it defines."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from verax.findings import InputError

MODULE = "verax_experiment"


@dataclass(frozen=True)
class SourceFile:
    """A source file as it was when a run began.

    Attributes:
      path: where it was.
      text: its content.
    """

    path: str
    text: str

    @property
    def sha256(self) -> str:
        """The digest of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def function(self, name: str = "experiment") -> Callable[..., Any]:
        """Returns a function that the source defines. Runs the source, which is the user's own code.

        Raises:
          InputError: if there is no such function, or the source has a syntax error.
        """
        module = ModuleType(MODULE)
        module.__file__ = self.path
        sys.modules[MODULE] = module  # dataclasses and Flax look a class up by its module's name
        folder = str(Path(self.path).parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        try:
            code = compile(self.text, self.path, "exec", dont_inherit=True)
        except SyntaxError as error:
            raise InputError(f"{self.path}:{error.lineno}: not valid Python: {error.msg}.") from error
        try:
            exec(code, vars(module))
        except SystemExit as error:
            raise InputError(
                f"{self.path} ended the program while it was loaded (sys.exit). Put what runs at once under "
                "if __name__ == '__main__':."
            ) from error
        function = vars(module).get(name)
        if not callable(function):
            known = [
                each for each, value in vars(module).items() if inspect.isfunction(value) and value.__module__ == MODULE
            ]
            hint = f"It defines: {', '.join(known)}." if known else "It defines no function."
            raise InputError(f"{self.path} must define a function {name}(...) that returns a vx.Experiment. {hint}")
        vars(function)["__verax_source__"] = self
        return function


def read_source(path: str | Path) -> SourceFile:
    """Returns a Python file, not yet run.

    Raises:
      InputError: if it is missing, a folder, or not text.
    """
    path = Path(path)
    if path.suffix != ".py":
        raise InputError(f"expected a Python file such as experiment.py, got {str(path)!r}.")
    if path.is_dir():
        raise InputError(f"{path} is a folder. Give the Python file that defines experiment(...).")
    try:
        return SourceFile(str(path.resolve()), path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist. Give the Python file that defines experiment(...).") from None
    except (UnicodeDecodeError, PermissionError) as error:
        raise InputError(f"{path} cannot be read as Python source: {error}.") from error


def source_of(experiment: Any) -> SourceFile | None:
    """Returns the source file of the function that makes an experiment; None if it cannot be made again from one."""
    known = getattr(experiment, "__verax_source__", None)
    if known is not None:
        return known
    if not inspect.isfunction(experiment) or experiment.__qualname__ != experiment.__name__:
        return None  # a lambda, or a function made inside another, cannot be made again from its file
    path = inspect.getsourcefile(inspect.unwrap(experiment))  # a decorator's wrapper lies in the decorator's file
    if path is None or not Path(path).is_file() or experiment.__name__ == "<lambda>":
        return None
    return SourceFile(str(Path(path).resolve()), Path(path).read_text(encoding="utf-8"))
