"""Comments that silence reports: `# noqa`, `# noqa: VX101`, `# verax: ignore[VX101]`, `# verax: ignore-file[VX101]`."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator

from verax.lint._report import Report

HINT = re.compile(r"noqa|verax\s*:", re.IGNORECASE)  # most files hold neither, and need no look at their comments
CODES = r"[A-Z]+[0-9]*(?:[,\s]+[A-Z]+[0-9]+)*"
NOQA = re.compile(rf"#\s*noqa(?P<colon>\s*:\s*(?P<codes>{CODES})?)?(?![\w-])", re.IGNORECASE)
IGNORE = re.compile(r"#\s*verax\s*:\s*ignore(?P<file>-file)?\s*(?:\[(?P<codes>[^\]]*)\])?(?![\w-])", re.IGNORECASE)
ALL = ""  # a prefix of every code


def unsilenced(text: str, reports: Iterable[Report], tree: ast.Module | None = None) -> tuple[Report, ...]:
    """Returns the reports that no comment silences.

    A comment counts on the line of the report, and on the first and the last line of the statement that this is part
    of; of a compound statement its header is meant. One with codes silences those alone, a code being also the name of
    a rule or the beginning of codes.

    Args:
      text: of the file.
      reports: on it.
      tree: the text, parsed; None where it cannot be.
    """
    reports = tuple(reports)
    if not reports or not HINT.search(text):
        return reports
    lines: dict[int, list[str]] = {}
    everywhere: list[str] = []
    for line, comment in comments(text):
        for codes, is_file in _silenced(comment):
            if is_file:
                everywhere += codes
            else:
                lines.setdefault(line, []).extend(codes)
    if not lines and not everywhere:
        return reports
    statements = {} if tree is None or not lines else headers(tree)

    def is_silenced(report: Report) -> bool:
        places = {report.line, *statements.get(report.line, ())}
        codes = [*everywhere, *(code for place in places for code in lines.get(place, ()))]
        return any(report.code.upper().startswith(code.upper()) or report.name == code for code in codes)

    return tuple(report for report in reports if not is_silenced(report))


def _silenced(comment: str) -> Iterator[tuple[list[str], bool]]:
    """Yields codes, or the prefix of all, that parts of a comment silence, and whether in the whole file."""
    for found in NOQA.finditer(comment):
        codes = re.split(r"[,\s]+", found["codes"] or "")
        if not found["colon"] or found["codes"]:
            yield codes, False
    for found in IGNORE.finditer(comment):
        yield [each.strip() for each in (found["codes"] or ALL).split(",")], bool(found["file"])


def comments(text: str) -> list[tuple[int, str]]:
    """Returns the comments of a text with their lines; of one that has no tokens, what looks like comments."""
    try:
        tokens = tokenize.generate_tokens(io.StringIO(text, newline=None).readline)
        return [(each.start[0], each.string) for each in tokens if each.type == tokenize.COMMENT]
    except (tokenize.TokenError, SyntaxError, ValueError, RecursionError):
        lines = enumerate(io.StringIO(text, newline=None), 1)
        return [(number, line[line.index("#") :]) for number, line in lines if "#" in line]


def headers(tree: ast.Module) -> dict[int, tuple[int, int]]:
    """Returns by line the first and last line of the innermost simple statement, or header of a compound one, there."""
    found: dict[int, tuple[int, int]] = {}
    left: list[ast.AST] = [tree]
    while left:
        node = left.pop()
        if isinstance(node, ast.stmt):
            start, end = _header(node)
            for line in range(start, end + 1):
                if line not in found or end - start < found[line][1] - found[line][0]:
                    found[line] = (start, end)
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            within = getattr(node, name, None)
            left += within if isinstance(within, list) else []
    return found


def _header(node: ast.stmt) -> tuple[int, int]:
    start = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
    body = getattr(node, "body", None) or getattr(node, "cases", None)
    if not isinstance(body, list):
        return start, node.end_lineno or node.lineno
    first = body[0].pattern if isinstance(body[0], ast.match_case) else body[0]
    begin = min([first.lineno, *(each.lineno for each in getattr(first, "decorator_list", ()))])
    return start, max(node.lineno, begin - 1)
