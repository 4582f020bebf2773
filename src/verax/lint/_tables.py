"""What each release of JAX and its libraries has: tables that `tools/lint_tables.py` writes from the releases."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "tables"
# Where a package's public names begin: `orbax` itself is shared by several distributions.
ROOTS = {"jax": "jax", "flax": "flax", "optax": "optax", "haiku": "haiku", "orbax": "orbax.checkpoint"}
DEPTH = 4  # parts of the longest module names in the tables
NOT_PUBLIC = ("tests", "test", "testing", "tools", "internal")  # folders that the tables leave out
Version = tuple[int, ...]


@dataclass(frozen=True)
class Stale:
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


@dataclass(frozen=True)
class Contents:
    """A module of a package.

    Attributes:
      since: the first release with it.
      until: the first without it, or None.
      is_open: whether it may have names that the table has not.
      is_hidden: whether the package around it has something else under its name, so that only an import reaches it.
      by_release: names, by the release that brought them, in one text each.
      stale: names that a release took away or will.
    """

    since: str
    until: str | None
    is_open: bool
    is_hidden: bool
    by_release: dict[str, str] = field(repr=False)
    stale: dict[str, Stale] = field(repr=False)

    @functools.cached_property
    def names(self) -> dict[str, str]:
        """The release that brought each name that is there still."""
        return {name: release for release, names in self.by_release.items() for name in names.split()}


@dataclass(frozen=True)
class Table:
    """A package's releases.

    Attributes:
      releases: those that were read, from the oldest.
      modules: by dotted name.
      keywords: by function, then keyword: the releases that deprecated and removed it.
    """

    releases: tuple[str, ...]
    modules: dict[str, Contents]
    keywords: dict[str, dict[str, tuple[str | None, str | None]]]

    def added(self, dotted: str) -> str | None:
        """Returns the release that brought a name, where the newest has it without a warning; else None."""
        contents = self.modules.get(dotted)
        if contents is not None:
            return contents.since if contents.until is None else None
        module, _, name = dotted.rpartition(".")
        contents = self.modules.get(module)
        return contents.names.get(name) if contents is not None and contents.until is None else None


@functools.cache
def table(package: str) -> Table:
    """Returns the table of a package: one of `ROOTS`."""
    read = json.loads((FOLDER / f"{package}.json").read_text(encoding="utf-8"))
    modules = {
        name: Contents(
            each["since"], each["until"], each["open"], each["hidden"], each["names"],
            {one: Stale(*about) for one, about in each["stale"].items()},
        )
        for name, each in read["modules"].items()
    }  # fmt: skip
    keywords = {name: {one: (about[0], about[1]) for one, about in each.items()} for name, each in read["keywords"].items()}
    return Table(tuple(read["releases"]), modules, keywords)


@functools.lru_cache(maxsize=4096)
def version(text: str) -> Version:
    """Returns a version's numbers, without zeros at the end, so that versions can be compared: `0.4.30` is `(0, 4, 30)`."""
    numbers = [int(each) for each in re.findall(r"\d+", text)]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
