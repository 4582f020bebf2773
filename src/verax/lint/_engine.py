"""From files to reports: what changed since the last run is checked, in several processes where there is much of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from verax.lint._cache import Cache, folder_of, stamped
from verax.lint._check import BROKEN, SYNTAX, check
from verax.lint._document import Document, document
from verax.lint._files import files, forget_packages, module_name
from verax.lint._memory import seldom_collected
from verax.lint._outcome import Outcome
from verax.lint._project import Project
from verax.lint._report import Level, Report
from verax.lint._rule import Rule
from verax.lint._settings import Settings, settings_for
from verax.lint._targets import requirements, targets

SIZES = {".ipynb": 64_000_000}  # bytes; pictures in the results of cells take most of them
SIZE = 4_000_000  # larger ones are written by programs
MUCH = 1_000_000  # bytes of source from which processes are worth their start


@dataclass(frozen=True)
class Result:
    """What a run of the linter found.

    Attributes:
      reports: by file, in the order in which the files were given, and by place.
      broken: rules that raised, by `file: code`, with what; everything else was checked all the same.
      files: how many were looked at.
      cached: how many of them were known from the last run.
      texts: bytes of what is on no disk, by its name.
    """

    reports: tuple[Report, ...]
    broken: Mapping[str, str] = field(default_factory=dict)
    files: int = 0
    cached: int = 0
    texts: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def exit_code(self) -> int:
        """0 where nothing was found but notes, 1 where something was, 2 where a rule raised."""
        return 2 if self.broken else int(any(each.level != "note" for each in self.reports))

    def __str__(self) -> str:
        return "\n".join(str(each) for each in self.reports)


def lint(
    paths: str | Path | Sequence[str | Path] = ".",
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    extend_select: Sequence[str] = (),
    target_jax: str | None = None,
    markdown: bool = False,
    cache: bool = True,
    jobs: int | None = None,
) -> Result:
    """Returns what the linter reports of files and folders; it imports neither JAX nor what it checks.

    The settings of the project, `[tool.verax.lint]` in its `pyproject.toml`, hold; arguments come on top.

    Args:
      paths: files, and folders of which all Python files and notebooks are checked that git does not ignore.
      select: rules to check instead of the usual ones: codes (`VX101`), beginnings (`VX1`) or names (`key-reuse`).
      ignore: rules to leave out.
      extend_select: rules to check besides, such as those that are off unless they are asked for.
      target_jax: the version of JAX that the code is meant for.
      markdown: whether the Python blocks of Markdown files are checked too.
      cache: whether what did not change since the last run is taken from there.
      jobs: processes; as many as there are cores where there is much to check.

    Raises:
      InputError: if a path does not exist, or a code is unknown.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    chosen = [Path(each) for each in given]
    settings = settings_for(
        chosen, select=select, ignore=ignore, extend_select=extend_select, target_jax=target_jax, markdown=markdown
    )
    return lint_files(chosen, settings, cache=cache, jobs=jobs)


def check_text(text: str, file: str = "<text>", *, settings: Settings | None = None) -> Result:
    """Returns what the linter reports of a source.

    Args:
      text: of a Python file, a notebook or a Markdown file.
      file: its name, whose end tells which; it need not exist.
      settings: which rules; those that are on for everyone if not given.

    Example:
      >>> from verax.lint import check_text
      >>> print(check_text("import jax.numpy as jnp\\nx == jnp.nan\\n"))
      <text>:2:1: VX604 this comparison with NaN is always false. Use isnan.
    """
    settings = settings or Settings()
    data = text.encode(errors="surrogateescape")
    outcome = check_data(data, file, settings, settings.rules(), Project(settings.root))
    return Result(outcome.reports, outcome.broken, 1, texts={file: data})


def lint_files(paths: Sequence[Path], settings: Settings, *, cache: bool = True, jobs: int | None = None) -> Result:
    """Returns what the linter reports of files and folders with some settings."""
    forget_packages()
    requirements.cache_clear()
    found = files(paths, settings.root, settings.exclude, markdown=settings.markdown)
    is_kept = cache and (any(path.is_dir() for path in paths) or settings.is_project)  # not beside one file somewhere
    folder = folder_of(settings.root) if is_kept else None
    known = None if folder is None else Cache(folder, settings.root, {**settings.facts(), "targets": targets(settings)})
    outcomes: dict[Path, Outcome] = {}
    names = {path: module_name(path)[0] for path in found} if known is not None else {}
    if known is not None:
        for path in found:
            if (outcome := known.get(path, names[path])) is not None:
                outcomes[path] = outcome
    left = [path for path in found if path not in outcomes]
    stamps = {path: stamped(path) for path in left} if known is not None else {}
    for path, outcome in _checked(left, settings, jobs):
        outcomes[path] = outcome
        if known is not None:
            known.put(path, names[path], outcome, *stamps[path])
    if known is not None:
        known.save()
    reports = tuple(each for path in found for each in outcomes[path].reports)
    broken = {f"{path}: {code}": said for path in found for code, said in outcomes[path].broken.items()}
    return Result(reports, broken, len(found), len(found) - len(left))


def _checked(paths: Sequence[Path], settings: Settings, jobs: int | None) -> Iterable[tuple[Path, Outcome]]:
    """Yields files with what came of them."""
    count = min(jobs or _cores(), len(paths))
    if count > 1 and (jobs is not None or sum(_size(path) for path in paths) > MUCH):
        from verax.lint._workers import checked

        yield from checked(paths, settings, count)
        return
    rules, project = settings.rules(), Project(settings.root)
    with seldom_collected():
        for path in paths:
            yield path, check_file(path, settings, rules, project)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def check_file(path: Path, settings: Settings, rules: Sequence[Rule], project: Project) -> Outcome:
    """Returns what came of a file; that it cannot be read is a report."""
    try:
        data = read(path)
    except OSError as error:
        reports = (problem(str(path), f"this file cannot be read: {error.strerror or error}."),)
        return Outcome(reports if settings.reports_syntax else ())
    if len(data) > SIZES.get(path.suffix.lower(), SIZE):
        said = f"this file has {len(data) / 1e6:.0f} MB, which is too much to be checked."
        return Outcome((problem(str(path), said, "note"),))
    return check_data(data, str(path), settings, rules, project)


def read(path: Path) -> bytes:
    """Returns the bytes of a file.

    Raises:
      OSError: if it cannot be read, or is a pipe or a device, whose end may never come.
    """
    if path.exists() and not path.is_file():
        raise OSError(None, "it is no regular file")
    return path.read_bytes()


def problem(file: str, message: str, level: Level = "error") -> Report:
    """Returns a report on a whole file."""
    return Report(file, 1, 1, 1, 1, SYNTAX, "syntax-error", level, message)


def check_data(data: bytes, file: str, settings: Settings, rules: Sequence[Rule], project: Project) -> Outcome:
    """Returns what came of the bytes of a file."""
    found = document(data, file, markdown=settings.markdown)
    return checker(file, settings, rules, project)(found)


def checker(file: str, settings: Settings, rules: Sequence[Rule], project: Project) -> Callable[[Document], Outcome]:
    """Returns a function that checks the content of a file, again and again while it is being mended."""
    name, is_package, _ = module_name(Path(file)) if file.endswith((".py", ".pyi")) else ("", False, None)
    ignored = settings.ignored_in(Path(file))
    on = [rule for rule in rules if not settings.is_ignored(rule.code, rule.name, ignored)]
    syntax = settings.reports_syntax and not settings.is_ignored(SYNTAX, "syntax-error", ignored)
    known = {"project": project, **targets(settings)}

    def run(found: Document) -> Outcome:
        reports, broken = list(found.problems), {}
        for part, text in enumerate(found.texts):
            try:
                checked = check(text, on, file, name, is_package=is_package, known=known)
            except Exception as error:  # a mistake of ours must not hide what other files have
                broken[BROKEN] = f"{type(error).__name__}: {error}"
                continue
            reports += [found.placed(part, each) for each in checked.reports]
            broken.update(checked.broken)
        reports = [each for each in reports if syntax or each.code != SYNTAX]
        reports.sort(key=lambda each: (each.cell or 0, each.line, each.column, each.code, each.message))
        reads = project.reads(file)
        project.rest()
        return Outcome(tuple(reports), broken, reads)

    return run
