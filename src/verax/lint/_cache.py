"""Outcomes of files by what they depend on: the bytes of the file and of those it reads, the rules, the settings."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verax.lint._outcome import Outcome, from_plain, to_plain
from verax.lint._project import file_hash

FORMAT = 1
KEPT = 8  # indices of other settings
RACY = 2_000_000_000  # nanoseconds: a file as young as this beside the index may have changed without a new time


class Cache:
    """One index: a JSON file in the folder of the cache, for one set of rules and settings.

    A file with the time and size of the last run is taken to be the same; else its bytes are compared by their hash.

    Args:
      folder: of the cache.
      root: of the project; names in the index are relative to it.
      facts: what all outcomes depend on.
    """

    def __init__(self, folder: Path, root: Path, facts: Mapping[str, Any]):
        self.folder, self.root = folder, os.path.abspath(root)
        key = hashlib.blake2b(json.dumps([FORMAT, rules_hash(), facts], sort_keys=True, default=str).encode())
        self.file = folder / f"{key.hexdigest()[:24]}.json"
        self._reads: dict[str, str] = {}
        self._changed = False
        self._old, self._written = _loaded(self.file)
        self._new: dict[str, Any] = {}

    def get(self, path: Path, name: str) -> Outcome | None:
        """Returns the outcome of a file, if nothing that it depends on has changed."""
        key, shown = self._key(path), str(path)
        entry = self._old.get(key)
        if entry is None:
            return None
        try:
            time_ns, size, known, called, content = entry
            stamp = _stamp(shown)
            is_same = (time_ns, size) == stamp and time_ns < self._written - RACY
            if called != name or (not is_same and file_hash(shown) != known):
                return None
            outcome = from_plain(content, shown)
            if any(self._hash(each) != old for each, old in outcome.reads.items()):
                return None
        except (KeyError, TypeError, ValueError, AttributeError, OSError):
            return None
        self._new[key] = entry if is_same else [*stamp, known, called, content]
        self._changed |= (time_ns, size) != stamp
        return outcome

    def put(self, path: Path, name: str, outcome: Outcome, stamp: tuple[int, int], known: str) -> None:
        """Keeps the outcome of a file that had a time, a size and a hash when it was read."""
        if not outcome.broken and known:
            self._new[self._key(path)] = [*stamp, known, name, to_plain(outcome)]
            self._changed = True

    def save(self) -> None:
        """Writes the index. A folder that cannot be written leaves things as they are."""
        if not self._changed:
            return
        entries = {**self._old, **self._new}
        for key in [
            key for key in entries if key not in self._new and not os.path.exists(os.path.join(self.root, key))
        ]:
            del entries[key]
        try:
            _make(self.folder)
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=".new")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"written": time.time_ns(), "files": entries}, file, separators=(",", ":"))
            os.replace(name, self.file)
            _forget_old(self.folder, self.file)
        except OSError:
            return

    def _key(self, path: Path) -> str:
        full = os.path.abspath(path)
        start = self.root + os.sep
        return full[len(start) :].replace(os.sep, "/") if full.startswith(start) else full

    def _hash(self, path: str) -> str:
        if path not in self._reads:
            self._reads[path] = file_hash(path)
        return self._reads[path]


def stamped(path: Path) -> tuple[tuple[int, int], str]:
    """Returns the time and size of a file, and its hash; to be asked before the file is checked."""
    try:
        return _stamp(str(path)), file_hash(str(path))
    except OSError:
        return (0, 0), ""


def _stamp(path: str) -> tuple[int, int]:
    about = os.stat(path)
    return about.st_mtime_ns, about.st_size


def folder_of(root: Path) -> Path | None:
    """Returns the folder of the cache for a project: in it, or where `VERAX_CACHE` says; None where that is `off`."""
    chosen = os.environ.get("VERAX_CACHE", "")
    if chosen == "off":
        return None
    if chosen:
        name = hashlib.blake2b(os.path.abspath(root).encode(errors="surrogateescape"), digest_size=8).hexdigest()
        return Path(chosen) / "lint" / name
    return root / ".verax_cache" / "lint"


@functools.cache
def rules_hash() -> str:
    """Returns the hash of the sources of the linter and its rules, with the versions that say how they work."""
    import sys

    from verax import __version__

    digest = hashlib.blake2b(f"{__version__} {sys.version_info[:3]}".encode(), digest_size=16)
    folder = os.path.dirname(os.path.abspath(__file__))
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if each != "__pycache__")
        for name in sorted(names):
            path = os.path.join(top, name)
            about = os.stat(path)
            digest.update(f"{path[len(folder) :]} {about.st_size} {about.st_mtime_ns}".encode())
    return digest.hexdigest()


def _loaded(file: Path) -> tuple[dict[str, Any], int]:
    try:
        content = json.loads(file.read_bytes())
        files, written = content["files"], content["written"]
        if isinstance(files, dict) and isinstance(written, int):
            return files, written
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return {}, 0


def _make(folder: Path) -> None:
    """Makes the folder; git and tools that copy folders see that it holds nothing of worth."""
    folder.mkdir(parents=True, exist_ok=True)
    top = folder.parent if folder.parent.name == ".verax_cache" else folder
    for name, text in ((".gitignore", "*\n"), ("CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n")):
        if not (top / name).exists():
            (top / name).write_text(text)


def _forget_old(folder: Path, current: Path) -> None:
    others = sorted((each for each in folder.glob("*.json") if each != current), key=lambda each: each.stat().st_mtime)
    for each in others[: max(len(others) - KEPT, 0)]:
        each.unlink(missing_ok=True)
