"""`verax lint`: rules over files; without JAX and without the code that is checked.

Its words are read by argparse rather than tyro, whose import takes 0.07 s: an editor and a commit hook run this command
for one small file, and wait for it.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from verax.cli._say import say
from verax.findings import InputError
from verax.lint import Result, Settings, rule_of

FORMATS = ("text", "json", "sarif", "github", "junit")
SECONDS = 0.5  # between two looks at the files that are watched
MISUSED = 2


def lint(words: Sequence[str]) -> int:
    """Checks files and folders, and returns the exit code."""
    options = _parser().parse_args(words)
    if options.list or options.explain is not None:
        return _say_rules(options)
    if options.lsp:
        from verax.lint._server import serve

        return serve()
    paths = [Path(each) for each in options.paths or ["."]]
    if "-" in options.paths or options.stdin_filename:
        return _stdin(options)
    return _watch(paths, options) if options.watch else _once(paths, options)


def _once(paths: Sequence[Path], options: argparse.Namespace) -> int:
    settings = _settings(paths, options)
    if options.fix or options.unsafe_fixes or options.diff:
        return _mend(paths, settings, options)
    from verax.lint._engine import lint_files

    result = lint_files(paths, settings, cache=not options.no_cache, jobs=options.jobs)
    _say_result(result, settings, options)
    return result.exit_code


def _say_result(result: Result, settings: Settings, options: argparse.Namespace, stream: Any = None) -> None:
    """Prints what was found, and on stderr which rules raised."""
    from verax.lint import _output

    screen = stream or sys.stdout
    is_terminal = screen.isatty()
    if options.statistics:
        counts = _output.statistics(result.reports)
        lines = [f"{each['count']:>6}  {each['code']}  {each['name']}" for each in counts]
        text = json.dumps(counts, indent=1) if options.output_format == "json" else "\n".join(lines)
    elif options.output_format == "text":
        sources = _output.Sources(result, settings.markdown)
        text = _output.text(result, sources, rich=is_terminal, color=is_terminal and _has_color())
    else:
        text = _output.FORMATS[options.output_format](result, _output.Sources(result, settings.markdown))
    if text:
        print(
            text.encode(screen.encoding or "utf-8", "backslashreplace").decode(screen.encoding or "utf-8"), file=screen
        )
    if is_terminal and options.output_format == "text":
        print(_summary(result), file=screen)
    _say_broken(result)


def _has_color() -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _summary(result: Result) -> str:
    files = f"{result.files} file{'s' * (result.files != 1)}"
    if not result.reports:
        return f"Nothing found in {files}."
    count = len(result.reports)
    safe = sum(each.fix is not None and each.fix.safe for each in result.reports)
    mends = f"; --fix mends {safe}" if safe else ""
    return f"{count} report{'s' * (count != 1)} in {files}{mends}."


def _say_broken(result: Result) -> None:
    for place, said in result.broken.items():
        say(f"error: a rule of Verax raised on {place}: {said} Please report this.", to_stderr=True)


def _mend(paths: Sequence[Path], settings: Settings, options: argparse.Namespace) -> int:
    """Writes fixes into the files, or shows them, and prints what is left."""
    from verax.lint import _engine
    from verax.lint._fixes import diff, fixed
    from verax.lint._project import Project

    before = _engine.lint_files(paths, settings, cache=not options.no_cache, jobs=options.jobs)
    rules, project = settings.rules(), Project(settings.root)
    wanted = {each.file for each in before.reports if _is_wanted(each, options)}
    left: dict[str, Any] = {}
    count, mended, failed = 0, 0, False
    for file in sorted(wanted):
        check = _engine.checker(file, settings, rules, project)
        try:
            change = fixed(
                _engine.read(Path(file)), file, check, unsafe=options.unsafe_fixes, markdown=settings.markdown
            )
            if change.after != change.before and not options.diff:
                Path(file).write_bytes(change.after)
        except OSError as error:
            say(f"error: {file} cannot be written: {error.strerror or error}.", to_stderr=True)
            failed = True
            continue
        if change.problem:
            say(f"warning: {file} is left as it is: {change.problem}", to_stderr=True)
        if options.diff:
            sys.stdout.write(diff(change, file))
        left[file] = change.outcome
        count, mended = count + change.count, mended + (change.after != change.before)
    if options.diff:
        _say_broken(before)
        return before.exit_code
    result = _after(before, left)
    _say_result(result, settings, options)
    if count:
        say(f"Mended {count} in {mended} file{'s' * (mended != 1)}.", to_stderr=True)
    return MISUSED if failed else result.exit_code


def _is_wanted(report: Any, options: argparse.Namespace) -> bool:
    return report.fix is not None and (report.fix.safe or options.unsafe_fixes)


def _after(before: Result, left: dict[str, Any]) -> Result:
    """Returns the result with what is left in the files that were mended."""
    reports: list[Any] = []
    done: set[str] = set()
    for each in before.reports:
        if each.file not in left:
            reports.append(each)
        elif each.file not in done:
            done.add(each.file)
            reports += left[each.file].reports
    broken = dict(before.broken)
    broken.update({f"{file}: {code}": said for file, each in left.items() for code, said in each.broken.items()})
    return replace(before, reports=tuple(reports), broken=broken)


def _stdin(options: argparse.Namespace) -> int:
    """Checks what comes on stdin; with --fix the mended text goes to stdout and the reports to stderr."""
    if [each for each in options.paths if each != "-"]:
        raise InputError("either files are checked or stdin, got both.")
    from verax.lint import _engine
    from verax.lint._fixes import diff, fixed
    from verax.lint._project import Project

    file = options.stdin_filename or "stdin.py"
    data = sys.stdin.buffer.read()
    settings = _settings([Path(file)], options)
    rules, project = settings.rules(), Project(settings.root)
    check = _engine.checker(file, settings, rules, project)
    if not (options.fix or options.unsafe_fixes or options.diff):
        outcome = _engine.check_data(data, file, settings, rules, project)
        result = Result(outcome.reports, outcome.broken, 1, texts={file: data})
        _say_result(result, settings, options)
        return result.exit_code
    change = fixed(data, file, check, unsafe=options.unsafe_fixes, markdown=settings.markdown)
    if change.problem:
        say(f"warning: {file} is left as it is: {change.problem}", to_stderr=True)
    if options.diff:
        sys.stdout.write(diff(change, file))
        outcome = _engine.check_data(data, file, settings, rules, project)
        return Result(outcome.reports, outcome.broken).exit_code
    sys.stdout.flush()
    sys.stdout.buffer.write(change.after)
    sys.stdout.buffer.flush()
    result = Result(change.outcome.reports, change.outcome.broken, 1, texts={file: change.after})
    _say_result(result, settings, options, sys.stderr)
    return result.exit_code


def _watch(paths: Sequence[Path], options: argparse.Namespace) -> int:
    """Checks again whenever a file changes, until Ctrl-C."""
    from verax.lint._files import files

    seen: Any = None
    while True:
        settings = _settings(paths, options)
        found = files(paths, settings.root, settings.exclude, markdown=settings.markdown)
        now = [(str(path), *_stamp(path)) for path in found]
        if now != seen:
            seen = now
            if sys.stdout.isatty():
                sys.stdout.write("\x1b[2J\x1b[H")
            _once(paths, options)
            say(f"{time.strftime('%H:%M:%S')} {len(found)} files; watching, Ctrl-C ends.", to_stderr=True)
            if options.fix or options.unsafe_fixes:  # what was written just now is no news
                seen = [(str(path), *_stamp(path)) for path in found]
        time.sleep(SECONDS)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError:
        return 0, 0
    return about.st_mtime_ns, about.st_size


def _settings(paths: Sequence[Path], options: argparse.Namespace) -> Settings:
    from verax.lint._settings import settings_for

    return settings_for(
        paths,
        select=_codes(options.select),
        ignore=_codes(options.ignore),
        extend_select=_codes(options.extend_select),
        per_file_ignores=_per_file(options.per_file_ignores),
        exclude=_codes(options.exclude),
        target_jax=options.target_jax,
        markdown=options.markdown,
    )


def _codes(given: Iterable[str]) -> tuple[str, ...]:
    return tuple(code for each in given for code in (part.strip() for part in each.split(",")) if code)


def _per_file(given: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in _codes(given):
        pattern, colon, code = part.rpartition(":")
        if not colon or not pattern:
            raise InputError(f"per-file-ignores must be of the form 'tests/*:VX1', got {part!r}.")
        found.setdefault(pattern, []).append(code)
    return found


def _say_rules(options: argparse.Namespace) -> int:
    """Prints all rules, or the page of one."""
    from verax.lint import all_rules

    is_json = options.output_format == "json"
    if options.explain is not None:
        rule = rule_of(options.explain)
        off = ", off unless selected" if rule.opt_in else ""
        page = f"{rule.code}  {rule.name}  {rule.level}{off}\n\n{rule.page}"
        say(json.dumps(_about(rule), indent=1) if is_json else page)
    elif is_json:
        say(json.dumps([_about(each) for each in all_rules().values()], indent=1))
    else:
        width = max(len(each.name) for each in all_rules().values())
        for each in all_rules().values():
            level = f"{each.level}{', off' if each.opt_in else ''}"
            say(f"{each.code}  {each.name:<{width}}  {level:<9}  {each.page.partition(chr(10))[0]}")
        say(f"{len(all_rules())} rules. verax lint --explain CODE shows the page of one.")
    return 0


def _about(rule: Any) -> dict[str, Any]:
    return {"code": rule.code, "name": rule.name, "level": rule.level, "opt_in": rule.opt_in, "page": rule.page}


class _Parser(argparse.ArgumentParser):
    """A parser that suggests, and whose messages are as those of other commands."""

    def error(self, message: str) -> NoReturn:
        """Says what is wrong with the words."""
        unknown = message.partition("unrecognized arguments: ")[2].split()
        if unknown:
            known = [each for action in self._actions for each in action.option_strings if each.startswith("--")]
            name = unknown[0].partition("=")[0]
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else ""
            raise InputError(f"unknown option {name}. {hint}".strip() + f"\nSee {self.prog} --help.")
        raise InputError(f"{message}.\nSee {self.prog} --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="verax lint",
        description="Checks JAX code by rules, without importing it. Exit code: 0 nothing but notes, 1 something was "
        "found, 2 misused, or a rule failed.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATHS", help="files and folders; this folder if not given, - for stdin")
    add("--output-format", choices=FORMATS, default="text", metavar="FORMAT", help=f"{', '.join(FORMATS)}")
    for name, text in (
        ("select", "rules to check, by code, beginning (VX1) or name; repeat, or separate by commas"),
        ("ignore", "rules to leave out"),
        ("extend-select", "rules besides; also those that are off unless selected"),
    ):
        add(f"--{name}", action="append", default=[], metavar="CODES", help=text)
    add("--per-file-ignores", action="append", default=[], metavar="PATTERN:CODE", help="rules to leave out of files")
    add("--exclude", action="append", default=[], metavar="PATTERN", help="files and folders to pass over")
    add("--target-jax", metavar="VERSION", help="the version of JAX that the code is meant for")
    add("--markdown", action="store_true", help="checks the Python blocks of Markdown files too")
    add("--fix", action="store_true", help="applies the fixes that keep what a program computes")
    add("--unsafe-fixes", action="store_true", help="applies those too that change random numbers or results")
    add("--diff", action="store_true", help="shows what fixes would change, and writes nothing")
    add("--statistics", action="store_true", help="counts reports by rule")
    add("--stdin-filename", metavar="NAME", help="what stdin is called; its end tells the kind of file")
    add("--watch", action="store_true", help="checks again whenever a file changes")
    add("--no-cache", action="store_true", help="checks what did not change since the last run too")
    add("--jobs", type=_positive, metavar="INT", help="processes; as many as cores where there is much to check")
    add("--list", action="store_true", help="lists the rules")
    add("--explain", metavar="CODE", help="shows the page of a rule")
    add("--lsp", action="store_true", help="speaks the language server protocol on stdin and stdout (extra: lsp)")
    return parser


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {word}")
    return number
