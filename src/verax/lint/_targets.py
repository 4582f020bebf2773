"""For which versions of JAX and its libraries a project is written: said in its settings, or in its requirements."""

from __future__ import annotations

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
    lines: list[str] = []
    file = root / "pyproject.toml"
    if file.is_file():
        try:
            project = project_table(file).get("project", {})
            extras = project.get("optional-dependencies", {})
            lines += [*project.get("dependencies", ()), *(each for extra in extras.values() for each in extra)]
        except (InputError, AttributeError, TypeError):
            lines = []
    for name in FILES:
        try:
            lines += (root / name).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            continue
    return [line for line in lines if isinstance(line, str)]
