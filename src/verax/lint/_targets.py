"""For which versions of JAX and its libraries a project is written: said in its settings, or in its requirements."""

from __future__ import annotations

import ast
import configparser
import functools
import re
from pathlib import Path
from typing import Any

from verax.findings import InputError
from verax.lint._settings import Settings, project_table

LIBRARIES = ("jax", "flax", "optax", "dm-haiku", "orbax-checkpoint", "equinox", "chex")
REQUIREMENT = re.compile(r"\s*(?P<name>[A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*\(?(?P<limits>[^;#]*)")
LIMIT = re.compile(r"(?P<sign>===?|~=|<=?|>=?|!=)\s*v?(?P<version>\d+(?:\.\d+)*)")
FILES = ("requirements.txt", "requirements-dev.txt", "requirements/requirements.txt")


def targets(settings: Settings) -> dict[str, Any]:
    """Returns what rules find in `module.known`.

    `requirements` has, by library, the limits as `(sign, version)`, such as `{"jax": (("<", "0.5"),)}`; `target_jax` is
    the version that the settings name, or None.
    """
    return {"target_jax": settings.target_jax, "requirements": requirements(str(settings.root))}


@functools.lru_cache(maxsize=8)
def requirements(root: str) -> dict[str, tuple[tuple[str, str], ...]]:
    """Returns the limits that a project sets to versions of libraries, by their names."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for line in _lines(Path(root)):
        read = REQUIREMENT.match(line)
        name = re.sub(r"[-_.]+", "-", read["name"]).lower() if read else ""
        if read and name in LIBRARIES:
            limits = tuple((each["sign"], each["version"]) for each in LIMIT.finditer(read["limits"]))
            found[name] = found.get(name) or limits
    return found


def _lines(root: Path) -> list[str]:
    """Returns the requirements that the files of a project name, those that count more first."""
    lines: list[str] = []
    for name, read in (("pyproject.toml", _of_pyproject), ("setup.cfg", _of_setup_cfg), ("setup.py", _of_setup_py)):
        if (root / name).is_file():
            lines += read(root / name)
    for name in FILES:
        try:
            lines += (root / name).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            continue
    return lines


def _of_pyproject(file: Path) -> list[str]:
    try:
        project = project_table(file).get("project", {})
        extras = project.get("optional-dependencies", {})
        lines = [*project.get("dependencies", ()), *(each for extra in extras.values() for each in extra)]
    except (InputError, AttributeError, TypeError):
        return []
    return [line for line in lines if isinstance(line, str)]


def _of_setup_cfg(file: Path) -> list[str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, configparser.Error):
        return []
    text = parser.get("options", "install_requires", fallback="")
    return text.splitlines() if "\n" in text else text.split(";")  # as setuptools reads it


def _of_setup_py(file: Path) -> list[str]:
    """Returns the texts in the list that `setup(install_requires=...)` is given; nothing is run."""
    try:
        nodes = list(ast.walk(ast.parse(file.read_bytes())))
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    for node in nodes:
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "setup":
            for each in node.keywords:
                if each.arg == "install_requires":
                    return _texts(each.value, nodes)
    return []


def _texts(node: ast.expr, nodes: list[ast.AST]) -> list[str]:
    """Returns the texts of a list, also through a name that is bound once; what is computed is left out."""
    if isinstance(node, ast.Name):
        bound = [
            each for each in nodes
            if isinstance(each, ast.Name) and each.id == node.id and isinstance(each.ctx, ast.Store)
        ]  # fmt: skip
        values = [each.value for each in nodes if isinstance(each, ast.Assign) and each.targets == bound]
        node = values[0] if len(bound) == len(values) == 1 else node
    if not isinstance(node, ast.List | ast.Tuple):
        return []
    return [each.value for each in node.elts if isinstance(each, ast.Constant) and isinstance(each.value, str)]
