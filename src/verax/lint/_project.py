"""The other files of a project, so that rules can follow a helper that is imported from one of them."""

from __future__ import annotations

import ast
import functools
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from verax.lint._document import decoded
from verax.lint._files import module_name
from verax.lint._module import Module
from verax.lint._scopes import FUNCTIONS, Function

KEPT = 4_000_000  # characters of the sources that stay parsed, those asked for last: fifty times as many bytes in all
SIZE = 1_000_000  # bytes; a larger file is not looked into
STEPS = 8  # from one re-export to the next
INSTALLED = ("site-packages", "dist-packages")


class Project:
    """Files beside those that are checked; each is read and parsed once, when a rule asks for it.

    Rules find it as `module.known["project"]`.

    Args:
      root: the folder of the project.
    """

    def __init__(self, root: Path):
        _exists.cache_clear()  # files may have come and gone since the last one was made
        _start.cache_clear()
        self.root = os.path.abspath(root)
        self._modules: dict[str, Module | None] = {}  # by file
        self._kept = 0  # characters of their sources
        self._left: list[Module] = []  # kept no more, but perhaps still asked
        self._hashes: dict[str, str] = {}
        self._tops: dict[tuple[str, str, str], tuple[list[str], list[str]]] = {}
        self._places: dict[tuple[str, str, str], tuple[str, int, bool] | None] = {}
        self._asked: dict[str, set[str]] = {}  # by the file that asked, those that were looked at

    def function(self, asking: Module, dotted: str) -> tuple[Module, Function | ast.ClassDef] | None:
        """Returns the function or class that a dotted name means, and the module in which it stands.

        Re-exports are followed. None where it is not of this project, not at the top of its file, or bound otherwise
        or more than once.

        Args:
          asking: the module in which the name is used.
          dotted: as `asking.dotted` says it.
        """
        for _ in range(STEPS):
            found = self._split(asking, dotted)
            if found is None or not found[1]:
                return None
            module, names = found
            bindings = module.opened[module.tree].bindings.get(names[0], [])
            if len(bindings) != 1:
                return None
            binding = bindings[0]
            if binding.kind == "import" and binding.origin:
                dotted, asking = ".".join([binding.origin, *names[1:]]), module
            elif isinstance(binding.node, (*FUNCTIONS, ast.ClassDef)) and binding.kind in ("function", "class"):
                return _within(module, binding.node, names[1:])
            else:
                return None
        return None

    def module(self, asking: Module, dotted: str) -> Module | None:
        """Returns the file of this project that a dotted name means; None where it means none."""
        found = self._split(asking, dotted)
        return found[0] if found is not None and not found[1] else None

    def _split(self, asking: Module, dotted: str) -> tuple[Module, list[str]] | None:
        """Returns the longest beginning of a name that is a file, and the names left."""
        parts = dotted.split(".")
        if not all(part.isidentifier() for part in parts):
            return None
        base, package = _start(asking.file)
        there, missing = self._bases(base, package, parts[0])
        asked = self._asked.setdefault(asking.file, set())
        asked.update(missing)
        if not there:
            return None
        key = base, package, dotted
        if key not in self._places:
            self._places[key] = _found(there, parts)
        place = self._places[key]
        if place is None:
            return None
        file, count, is_package = place
        asked.add(file)
        module = self._parsed(file, ".".join(parts[:count]), is_package)
        return None if module is None else (module, parts[count:])

    def _bases(self, base: str, package: str, top: str) -> tuple[list[str], list[str]]:
        """Returns the folders that hold a first part of a name, and what is missing in others."""
        if (base, package, top) not in self._tops:
            bases = [base, self.root, os.path.join(self.root, "src")]
            if os.path.basename(base) in INSTALLED:  # what lies beside an installed package is not its project
                bases = [base] if top == package else []
            there: list[str] = []
            missing: list[str] = []
            for each in dict.fromkeys(
                each for each in bases if each == base or os.path.basename(each) not in INSTALLED
            ):
                stem = os.path.join(each, top)
                is_there = os.path.exists(stem) or os.path.exists(f"{stem}.py")
                (there if is_there else missing).append(each if is_there else stem)
            self._tops[base, package, top] = there, missing
        return self._tops[base, package, top]

    def _parsed(self, file: str, name: str, is_package: bool) -> Module | None:
        if file in self._modules:
            self._modules[file] = self._modules.pop(file)  # the one that was asked for last is at the end
        else:
            self._modules[file] = None  # while it is made, and where it cannot be
            try:
                if os.path.getsize(file) <= SIZE:
                    with open(file, "rb") as opened:
                        data = opened.read()
                    self._hashes[file] = _hash(data)
                    known = {"project": self}
                    self._modules[file] = Module(decoded(data)[0], file, name, is_package=is_package, known=known)
            except (OSError, SyntaxError, ValueError, LookupError, RecursionError, MemoryError):
                pass
            self._kept += _length(self._modules[file])
            while self._kept > KEPT and len(self._modules) > 1:
                gone = self._modules.pop(next(iter(self._modules)))
                self._kept -= _length(gone)
                self._left += [gone] if gone is not None else []
        return self._modules[file]

    def parsed(self, text: str, file: str, name: str, *, is_package: bool, known: Mapping[str, Any]) -> Module:
        """Returns a module that is to be checked; what is kept of it already is not parsed again.

        Raises:
          SyntaxError, ValueError, RecursionError, MemoryError: if it cannot be parsed.
        """
        kept = self._modules.get(os.path.abspath(file))
        if kept is not None and (kept.text, kept.name, kept.is_package) == (text, name, is_package):
            return kept.twin(file, known)
        return Module(text, file, name, is_package=is_package, known=known)

    def rest(self) -> None:
        """Lets go of modules that are kept no more; between two checks, when none of them is asked anything."""
        for each in self._left:
            each.forget()
        self._left.clear()

    def reads(self, file: str) -> dict[str, str]:
        """Returns the files that the check of a file has looked at, through others too, each with its hash.

        A file that was missing has an empty one.
        """
        found: dict[str, str] = {}
        left = [file]
        while left:
            for each in self._asked.get(left.pop(), ()):
                if each not in found:
                    found[each] = self._hashes.get(each, "") or file_hash(each)
                    left.append(each)
        return dict(sorted(found.items()))


def _within(module: Module, node: ast.AST, names: Iterable[str]) -> tuple[Module, Function | ast.ClassDef] | None:
    """Returns a method of a class, or a class of a class; the node itself where no name is left."""
    for name in names:
        if not isinstance(node, ast.ClassDef):
            return None
        bindings = module.opened[node].bindings.get(name, [])
        if len(bindings) != 1:
            return None
        node = bindings[0].node
    return (module, node) if isinstance(node, (*FUNCTIONS, ast.ClassDef)) else None


def _found(bases: Iterable[str], parts: list[str]) -> tuple[str, int, bool] | None:
    """Returns the file that the longest beginning of a name is, its count of parts, and whether it is a package."""
    for base in bases:
        for count in range(len(parts), 0, -1):
            stem = os.path.join(base, *parts[:count])
            for file, is_package in ((f"{stem}.py", False), (os.path.join(stem, "__init__.py"), True)):
                if _exists(file):
                    return file, count, is_package
    return None


def _length(module: Module | None) -> int:
    return 0 if module is None else len(module.text)


@functools.lru_cache(maxsize=100_000)
def _exists(path: str) -> bool:
    return os.path.exists(path)


@functools.lru_cache(maxsize=10_000)
def _start(file: str) -> tuple[str, str]:
    """Returns where the name of a file begins, and its first part."""
    name, _, base = module_name(Path(file))
    return str(base), name.partition(".")[0]


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def file_hash(file: str) -> str:
    """Returns the hash of a file's bytes; empty where there is none, or it is none that can be read to its end."""
    try:
        if not os.path.isfile(file):
            return "other" if os.path.exists(file) or os.path.exists(f"{file}.py") else ""
        with open(file, "rb") as opened:
            return _hash(opened.read())
    except OSError:
        return ""
