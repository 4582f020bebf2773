"""`verax/__init__.pyi`, which shows type checkers and editors what loads lazily, is what is written here from the code.

Run as a program (`make stub`), this file renews the stub.
"""

import ast
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import verax
from verax._modules import CallableModule

ROOT = Path(__file__).parents[1]
STUB = ROOT / "src" / "verax" / "__init__.pyi"
HEAD = "# Written by `make stub` from __init__.py and the folders' contents pages. Do not edit.\n"


def stub_text() -> str:
    """Returns the stub of `verax`."""
    folders = {name: importlib.import_module(f"verax.{name}") for name in verax._FOLDERS}
    called = {name: folder for name, folder in folders.items() if isinstance(folder, CallableModule)}
    lines = [HEAD, *(f"import verax.{name} as _{name}" for name in called)]
    for name, folder in called.items():
        function = inspect.unwrap(folder._called)
        lines.append(f"from {function.__module__} import {function.__name__} as _call_{name}")
        names = sorted(names_in_overloads(function) - {*verax._FOLDER_OF})
        lines += [f"from {function.__module__} import {each}" for each in names]
        lines += ["from typing import overload"] if names else []
    lines += [f"from verax import {name} as {name}" for name in folders if name not in called]
    lines += [f"from verax.{folder} import {name} as {name}" for name, folder in verax._FOLDER_OF.items()]
    lines += ["", "__version__: str"]
    for name, folder in called.items():
        lines += ["", *class_of_folder(name, folder), f"{name}: _{name.capitalize()}"]
    return "\n".join(lines) + "\n"


def class_of_folder(name: str, folder: types.ModuleType) -> Iterator[str]:
    """Yields the lines of a class with a folder's call, its public names and its public files."""
    files = [file.name for file in pkgutil.iter_modules(folder.__path__) if not file.name.startswith("_")]
    yield f"class _{name.capitalize()}:"
    forms = overloads(inspect.unwrap(folder._called))
    yield from ("    @overload\n" + "    " + form for form in forms)  # staticmethod would leave the first one alone
    if not forms:
        yield f"    __call__ = staticmethod(_call_{name})"
    for public in sorted({*folder.__all__, *files}):
        if inspect.isroutine(getattr(folder, public, None)):
            yield f"    {public} = staticmethod(_{name}.{public})"
        else:
            yield f"    from verax.{name} import {public} as {public}"


def overloads(function: types.FunctionType) -> list[str]:
    """Returns the forms in which a function can be called, each as a method `__call__`; none where there is one."""
    return [
        f"def __call__(self, {ast.unparse(each.args)}) -> {ast.unparse(each.returns)}: ..."
        for each in _overloads(function)
    ]


def names_in_overloads(function: types.FunctionType) -> set[str]:
    """Returns the names that the annotations of a function's forms need from its module."""
    nodes = [node for each in _overloads(function) for node in ast.walk(each) if isinstance(node, ast.Name)]
    return {node.id for node in nodes if node.id in function.__globals__} - {"overload"}


def _overloads(function: types.FunctionType) -> list[ast.FunctionDef]:
    tree = ast.parse(Path(inspect.getfile(function)).read_text())
    defined = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == function.__name__]
    return [each for each in defined if [ast.unparse(mark) for mark in each.decorator_list] == ["overload"]]


def test_the_stub_is_current():
    assert STUB.read_text() == stub_text(), "the stub is not what the code says. Renew it: make stub"


def test_the_stub_shows_every_name():
    shown = set()
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            shown |= {alias.asname for alias in node.names}
        elif isinstance(node, ast.AnnAssign):
            shown.add(node.target.id)
    assert set(verax.__all__) <= shown


def test_a_type_checker_sees_calls_and_names(tmp_path):
    """`vx.train(...)` and `vx.train.chunks` are both typed, and a name that does not exist is found."""
    user = tmp_path / "user.py"
    user.write_text(
        "import verax as vx\n"
        "def f(experiment: vx.Experiment) -> vx.Run:\n"
        "    vx.train.chunks(experiment)\n"
        "    return vx.train(experiment)\n"
        "vx.train(experimant=3)\n"
        "vx.train.chunk\n"
        "vx.Experimant\n"
    )
    config = {"include": ["user.py"], "extraPaths": [str(STUB.parents[1])]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    for place in (":5:", ":6:", ":7:"):
        assert f"user.py{place}" in said, said
    for place in (":3:", ":4:"):
        assert f"user.py{place}" not in said, said


if __name__ == "__main__":
    STUB.write_text(stub_text())
