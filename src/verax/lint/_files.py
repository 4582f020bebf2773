"""Which files of folders are checked, and what each is called as a module."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from verax.findings import InputError

SUFFIXES = (".py", ".pyi", ".pyw", ".ipynb")
PAGES = (".md", ".markdown", ".qmd", ".rmd")
# Folders that hold nothing of the project's own, at any depth below a folder that was named.
PASSED_OVER = frozenset({
    ".git", ".hg", ".svn", ".bzr", "_darcs", "CVS", "__pycache__", "__pypackages__", ".venv", ".tox", ".nox", ".eggs",
    ".mypy_cache", ".pytest_cache", ".ruff_cache", ".pytype", ".hypothesis", ".cache", ".verax_cache",
    ".ipynb_checkpoints", "node_modules", "site-packages", "dist-packages", ".direnv", ".pants.d", "buck-out",
})  # fmt: skip
BUILT = frozenset({"build", "dist", "_build", "venv"})  # unless they are packages


def files(paths: Sequence[Path], root: Path, exclude: Sequence[str] = (), *, markdown: bool = False) -> list[Path]:
    """Returns the files to check, without doubles: those that are named, and those of folders that are named.

    Of a folder these are Python files and notebooks, without what `.gitignore` files leave out, virtual environments,
    caches and build folders. Folders that are symbolic links are not entered.

    Args:
      paths: files and folders.
      root: of the project, to which patterns are relative.
      exclude: patterns of what is passed over, as in a `.gitignore`.
      markdown: whether Markdown files are wanted too.

    Raises:
      InputError: if a path does not exist.
    """
    suffixes = SUFFIXES + (PAGES if markdown else ())
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            for each in _below(path, root, tuple(exclude), suffixes):
                found[each] = None
        elif os.path.lexists(path):
            found[path] = None
        else:
            raise InputError(f"{path} does not exist.")
    return list(found)


def _below(top: Path, root: Path, exclude: tuple[str, ...], suffixes: tuple[str, ...]) -> Iterator[Path]:
    excluded = [(_spec(exclude), os.path.abspath(root))] if exclude else []
    patterns = [(spec, folder) for folder in _above(top) if (spec := _ignored_by(folder)) is not None]
    full = os.path.abspath(top)  # what leaves out the very folder that was named says nothing about what is in it
    patterns = [each for each in patterns if full == each[1] or not _is_left_out(full, [each], is_folder=True)]

    def is_left_out(path: str, known: Sequence[tuple[Any, str]], *, is_folder: bool = False) -> bool:
        return _is_left_out(path, excluded, is_folder=is_folder) or _is_left_out(path, known, is_folder=is_folder)

    left: list[tuple[str, str, list[tuple[Any, str]]]] = [(str(top), os.path.abspath(top), patterns)]
    while left:
        folder, full, known = left.pop()
        if full != os.path.abspath(top) and (spec := _ignored_by(full)) is not None:
            known = [*known, (spec, full)]
        try:
            entries = sorted(os.scandir(folder), key=lambda each: each.name)
        except OSError:  # without permission, or gone by now
            continue
        within = []
        for each in entries:
            path = f"{full}{os.sep}{each.name}"
            shown = each.name if folder == "." else os.path.join(folder, each.name)
            try:
                is_folder, is_link = each.is_dir(), each.is_symlink()
            except OSError:
                continue
            if is_folder:
                if not is_link and not _is_passed_over(each) and not is_left_out(path, known, is_folder=True):
                    within.append((shown, path, known))
            elif each.name.lower().endswith(suffixes) and not is_left_out(path, known) and _is_regular(each):
                yield Path(shown)
        left += reversed(within)


def _is_regular(entry: os.DirEntry[str]) -> bool:
    """Returns whether an entry is a file: no pipe, and no link to nothing, as editors make them for locks."""
    try:
        return entry.is_file()
    except OSError:
        return False


def _is_passed_over(entry: os.DirEntry[str]) -> bool:
    """Returns whether a folder holds nothing of the project's own."""
    if entry.name in PASSED_OVER or entry.name.endswith(".egg-info"):
        return True
    if entry.name in BUILT and not os.path.exists(os.path.join(entry.path, "__init__.py")):
        return True
    return any(os.path.exists(os.path.join(entry.path, name)) for name in ("pyvenv.cfg", "CACHEDIR.TAG", "conda-meta"))


def _is_left_out(path: str, known: Sequence[tuple[Any, str]], *, is_folder: bool = False) -> bool:
    """Returns whether patterns leave a path out; those of the nearest folder that name it decide."""
    for spec, folder in reversed(known):
        relative = os.path.relpath(path, folder).replace(os.sep, "/")
        if relative.startswith("../"):
            continue
        named = spec.check_file(relative + ("/" if is_folder else "")).include
        if named is not None:
            return named
    return False


def _above(top: Path) -> list[str]:
    """Returns the folder itself and those above it, down from where it is kept in git."""
    full = Path(os.path.abspath(top))
    chain = [full, *full.parents]
    kept = next((place for place, folder in enumerate(chain) if (folder / ".git").exists()), 0)
    return [str(folder) for folder in reversed(chain[: kept + 1])]


def _ignored_by(folder: str) -> Any:
    """Returns the patterns of the `.gitignore` of a folder; None where it has none."""
    lines: list[str] = []
    for name in (".git/info/exclude", ".gitignore"):
        try:
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                lines += file.read().splitlines()
        except OSError:
            continue
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    return _spec(tuple(lines)) if lines else None


@functools.lru_cache(maxsize=256)
def _spec(patterns: tuple[str, ...]) -> Any:
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:  # git passes over a pattern that it does not understand
        if len(patterns) == 1:
            raise InputError(f"the pattern {patterns[0]!r} is none that a .gitignore could have: {error}") from error
        return GitIgnoreSpec.from_lines(each for each in patterns if _is_pattern(each))


def _is_pattern(line: str) -> bool:
    try:
        _spec((line,))
    except InputError:
        return False
    return True


def matched(patterns: Iterable[str], path: Path, root: Path) -> bool:
    """Returns whether patterns, as in a `.gitignore`, name a file below a folder."""
    relative = os.path.relpath(os.path.abspath(path), root).replace(os.sep, "/")
    return _spec(tuple(patterns)).match_file(relative) if not relative.startswith("../") else False


def module_name(path: Path) -> tuple[str, bool, Path]:
    """Returns the dotted name of a file by the packages around it, whether it is one, and where its name begins."""
    folder = Path(os.path.abspath(path)).parent
    is_package = path.stem == "__init__"
    parts = [] if is_package else [path.stem]
    while _is_package(str(folder)) and folder.name:
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts), is_package, folder


@functools.lru_cache(maxsize=4096)
def _is_package(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, "__init__.py"))


def forget_packages() -> None:
    """Forgets which folders are packages: they may have changed since the last run."""
    _is_package.cache_clear()
