"""What is asked for: `[tool.verax.lint]` of the project, and what a call or the command line says beyond it."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from verax.findings import InputError, suggested
from verax.lint._check import SYNTAX
from verax.lint._rule import Rule, all_rules

LISTS = ("select", "ignore", "extend-select", "exclude")
KNOWN = (*LISTS, "per-file-ignores", "target-jax", "markdown")
VERSION = re.compile(r"\d+(\.\d+)*\Z")


@dataclass(frozen=True)
class Settings:
    """What is checked, and where.

    Codes are whole (`VX101`), beginnings (`VX1`) or names (`key-reuse`). Of several that name a rule, the longest
    counts, and of equal ones `ignore`.

    Attributes:
      root: the folder of the project; patterns are relative to it.
      select: the rules; all that are not opt-in where it is empty.
      ignore: rules that are left out.
      extend_select: rules besides; it also turns on those that are opt-in.
      per_file_ignores: patterns of files, as in a `.gitignore`, with codes that do not count there.
      exclude: patterns of files and folders that are passed over, unless they are named on the command line.
      target_jax: the version of JAX that the code is meant for; None where the project's requirement decides.
      markdown: whether Python blocks of Markdown files are checked.
    """

    root: Path = field(default_factory=Path.cwd)
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    exclude: tuple[str, ...] = ()
    target_jax: str | None = None
    markdown: bool = False

    def rules(self) -> tuple[Rule, ...]:
        """Returns the rules that are on, by their codes."""
        return tuple(each for each in all_rules().values() if self._is_on(each))

    def _is_on(self, rule: Rule) -> bool:
        wanted = [_weight(code, rule) for code in self.select if not rule.opt_in or is_whole(code)]
        wanted += [_weight(code, rule) for code in self.extend_select]
        weight = max(wanted, default=0)
        if not weight and not self.select and not rule.opt_in:
            weight = 1  # on unless something says otherwise
        return weight > max((_weight(code, rule) for code in self.ignore), default=0)

    @property
    def is_project(self) -> bool:
        """Whether the folder is that of a project."""
        return any((self.root / name).exists() for name in ("pyproject.toml", ".git"))

    @property
    def reports_syntax(self) -> bool:
        """Whether files that cannot be read are reported."""
        return SYNTAX not in {code.upper() for code in self.ignore}

    def ignored_in(self, path: Path) -> tuple[str, ...]:
        """Returns the codes that do not count in a file."""
        if not self.per_file_ignores:
            return ()
        from verax.lint._files import matched

        return tuple(
            code for pattern, codes in self.per_file_ignores if matched((pattern,), path, self.root) for code in codes
        )

    def is_ignored(self, code: str, name: str, codes: Iterable[str]) -> bool:
        """Returns whether a code is among some codes."""
        return any(code.startswith(each.upper()) or name == each for each in codes)

    def facts(self) -> dict[str, Any]:
        """Returns what results depend on, without the folder."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "root"}


def is_whole(code: str) -> bool:
    """Returns whether a code names one rule, by its code or its name."""
    return re.fullmatch(r"VX\d{3}", code.upper()) is not None or "-" in code


def _weight(code: str, rule: Rule) -> int:
    """Returns how closely a code names a rule; 0 where it does not."""
    if code == rule.name:
        return len(rule.code) + 1
    upper = code.upper()
    return 2 if upper == "ALL" else len(upper) + 1 if rule.code.startswith(upper) else 0


def check_codes(codes: Iterable[str], where: str) -> tuple[str, ...]:
    """Returns codes, without doubles.

    Raises:
      InputError: if one names no rule, with the nearest.
    """
    rules = all_rules().values()
    whole = [*(each.code for each in rules), SYNTAX]
    names = [each.name for each in rules]
    for code in codes:
        is_prefix = code.upper().startswith("VX") and any(each.startswith(code.upper()) for each in whole)
        if not is_prefix and code not in names and code.upper() != "ALL":
            near = suggested(code.upper() if code[:1].upper() == "V" else code, [*whole, *names])
            hint = near if near.startswith("Did") else "A code is such as VX101, VX1 or key-reuse."
            raise InputError(f"unknown rule {code!r} in {where}. {hint} `verax lint --list` shows every rule.")
    return tuple(dict.fromkeys(codes))


def settings_for(
    paths: Sequence[Path],
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    extend_select: Sequence[str] = (),
    per_file_ignores: Mapping[str, Sequence[str]] | None = None,
    exclude: Sequence[str] = (),
    target_jax: str | None = None,
    markdown: bool = False,
) -> Settings:
    """Returns the settings of the project that some paths are in, and what is said beyond them.

    `select` comes in the place of what the project selects and ignores; the other lists are added to those of the
    project.

    Raises:
      InputError: if a code, a version or a key is unknown, or the file of the project is no TOML.
    """
    file = project_file(paths)
    found = _read(str(file)) if file is not None else Settings(root=_root(paths))
    if select:
        found = replace(found, select=check_codes(select, "select"), extend_select=(), ignore=())
    more = tuple(
        (pattern, check_codes(codes, "per-file-ignores")) for pattern, codes in (per_file_ignores or {}).items()
    )
    return replace(
        found,
        ignore=(*found.ignore, *check_codes(ignore, "ignore")),
        extend_select=(*found.extend_select, *check_codes(extend_select, "extend-select")),
        per_file_ignores=(*found.per_file_ignores, *more),
        exclude=(*found.exclude, *exclude),
        target_jax=check_version(target_jax) if target_jax else found.target_jax,
        markdown=markdown or found.markdown,
    )


def check_version(version: str) -> str:
    """Returns a version of JAX.

    Raises:
      InputError: if it is none.
    """
    if not VERSION.match(version):
        raise InputError(f"target-jax must be a version such as 0.6.2, got {version!r}.")
    return version


def project_file(paths: Sequence[Path]) -> Path | None:
    """Returns the nearest `pyproject.toml` above some paths: one with settings for the linter, else any."""
    start = _common(paths)
    files = [folder / "pyproject.toml" for folder in (start, *start.parents)]
    found = [file for file in files if file.is_file()]
    return next((file for file in found if _has_table(file)), found[0] if found else None)


def _has_table(file: Path) -> bool:
    try:
        return b"tool.verax" in file.read_bytes()
    except OSError:
        return False


def _common(paths: Sequence[Path]) -> Path:
    folders = [each if each.is_dir() else each.parent for each in (Path(os.path.abspath(path)) for path in paths)]
    try:
        return Path(os.path.commonpath(folders)) if folders else Path.cwd()
    except ValueError:  # different drives
        return folders[0]


def _root(paths: Sequence[Path]) -> Path:
    """Returns the folder of a project without a file: where it is kept in git, else where the paths are."""
    start = _common(paths)
    return next((folder for folder in (start, *start.parents) if (folder / ".git").exists()), start)


@functools.lru_cache(maxsize=8)
def _parsed(file: str, stamp: tuple[int, int]) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error


def project_table(file: Path) -> dict[str, Any]:
    """Returns the content of a `pyproject.toml`.

    Raises:
      InputError: if it is no TOML.
    """
    about = file.stat()
    return _parsed(str(file), (about.st_mtime_ns, about.st_size))


def _read(file: str) -> Settings:
    tool = project_table(Path(file)).get("tool")
    verax = tool.get("verax") if isinstance(tool, dict) else None
    table = verax.get("lint", {}) if isinstance(verax, dict) else {}
    where = f"[tool.verax.lint] of {file}"
    if not isinstance(table, dict):
        raise InputError(f"{where} must be a table.")
    for name in table:
        if name not in KNOWN:
            raise InputError(f"unknown key {name!r} in {where}. {suggested(name, KNOWN)}")
    for name in LISTS:
        if not _is_words(table.get(name, [])):
            raise InputError(f"{name} in {where} must be a list of texts, got {table[name]!r}.")
    per_file = table.get("per-file-ignores", {})
    if not isinstance(per_file, dict) or not all(_is_words(each) for each in per_file.values()):
        example = '{"tests/*" = ["VX1"]}'
        raise InputError(f"per-file-ignores in {where} must be patterns with lists of codes, as {example}.")
    target, markdown = table.get("target-jax"), table.get("markdown", False)
    if not isinstance(target, str | None):
        raise InputError(f"target-jax in {where} must be a text such as '0.6.2', got {target!r}.")
    if not isinstance(markdown, bool):
        raise InputError(f"markdown in {where} must be true or false, got {markdown!r}.")
    codes = {name: check_codes(table.get(name, []), where) for name in ("select", "ignore", "extend-select")}
    return Settings(
        root=Path(file).parent,
        select=codes["select"],
        ignore=codes["ignore"],
        extend_select=codes["extend-select"],
        per_file_ignores=tuple((pattern, check_codes(each, where)) for pattern, each in per_file.items()),
        exclude=tuple(table.get("exclude", [])),
        target_jax=check_version(target) if target is not None else None,
        markdown=markdown,
    )


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
