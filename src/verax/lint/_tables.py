"""What each release of JAX and its libraries has: tables that `tools/lint_tables.py` writes from the releases."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent / "tables"
# Where a package's public names begin: `orbax` itself is shared by several distributions.
ROOTS = {"jax": "jax", "flax": "flax", "optax": "optax", "haiku": "haiku", "orbax": "orbax.checkpoint"}
DEPTH = 4  # parts of the longest module names in the tables
NOT_PUBLIC = ("tests", "test", "testing", "tools", "internal", "examples", "benchmarks")  # which the tables leave out
Version = tuple[int, ...]


class Stale(NamedTuple):
    """A name or module that a release took away, or said it will.

    Attributes:
      added: the first release with it, or None.
      deprecated: the first that warns, or None.
      removed: the first without it, or None.
      said: what the release says about it.
    """

    added: str | None
    deprecated: str | None
    removed: str | None
    said: str = ""


class Contents:
    """A module of a package.

    Attributes:
      since: the first release with it.
      until: the first without it, or None.
      is_open: whether it may have names that the table has not.
      is_hidden: whether the package around it has something else under its name, so that only an import reaches it.
    """

    def __init__(self, read: dict[str, Any]):
        self.since: str = read["since"]
        self.until: str | None = read["until"]
        self.is_open: bool = read["open"]
        self.is_hidden: bool = read["hidden"]
        self._names: dict[str, str] = read["names"]
        self._stale: dict[str, list[Any]] = read["stale"]

    @functools.cached_property
    def names(self) -> dict[str, str]:
        """The release that brought each name that is there still, and not on its way out."""
        return {name: release for release, names in self._names.items() for name in names.split()}

    def stale(self, name: str) -> Stale | None:
        """Returns when a name came and went, if a release took it away or says it will."""
        return Stale(*self._stale[name]) if name in self._stale else None

    def stale_names(self) -> list[str]:
        """Returns the names that a release took away, or says it will."""
        return list(self._stale)


class Table:
    """A package's releases.

    Attributes:
      releases: those that were read, from the oldest.
    """

    def __init__(self, read: dict[str, Any]):
        self.releases: tuple[str, ...] = tuple(read["releases"])
        self._modules: dict[str, Any] = read["modules"]
        self._keywords: dict[str, dict[str, list[str | None]]] = read["keywords"]
        self._read: dict[str, Contents | None] = {}

    def modules(self) -> list[str]:
        """Returns the dotted names of all modules that a release has or had."""
        return list(self._modules)

    def module(self, dotted: str) -> Contents | None:
        """Returns a module, of whatever release; None where none has it."""
        if dotted not in self._read:
            self._read[dotted] = Contents(self._modules[dotted]) if dotted in self._modules else None
        return self._read[dotted]

    def keywords(self, function: str) -> dict[str, tuple[str | None, str | None]]:
        """Returns the keywords that a function takes no more, or not for long: the releases that said and did so."""
        return {name: (said, done) for name, (said, done) in self._keywords.get(function, {}).items()}

    def added(self, dotted: str) -> str | None:
        """Returns the release that brought a name, where the newest has it without a warning; else None."""
        package, _, name = dotted.rpartition(".")
        around, contents = self.module(package), self.module(dotted)
        if around is not None and around.until is None and name in around.names:
            return around.names[name]
        return contents.since if contents is not None and contents.until is None else None


@functools.cache
def table(package: str) -> Table:
    """Returns the table of a package: one of `ROOTS`."""
    return Table(json.loads((FOLDER / f"{package}.json").read_text(encoding="utf-8")))


@functools.lru_cache(maxsize=4096)
def version(text: str) -> Version:
    """Returns a version's numbers, without zeros at the end, to be compared: `0.4.30` is `(0, 4, 30)`."""
    numbers = [int(each) for each in re.findall(r"\d+", text)]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
