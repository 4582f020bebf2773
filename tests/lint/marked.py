"""Sources whose comments say what a linter must report: `# expect: VX101` and `# allow: VX101`."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable

from verax.lint._report import Report

MARK = re.compile(r"# (expect|allow): ((?:VX\d{3}(?:, *)?)+)")


def spans(tree: ast.AST) -> dict[int, tuple[int, int]]:
    """Returns for each line the innermost simple statement, or header of a compound one, that it is part of."""
    found: dict[int, tuple[int, int]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt):
            continue
        start = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
        end = node.end_lineno or node.lineno
        body = getattr(node, "body", None)
        if isinstance(body, list) and body:
            first = min([body[0].lineno, *(each.lineno for each in getattr(body[0], "decorator_list", []))])
            end = max(node.lineno, first - 1)
        for line in range(start, end + 1):
            if line not in found or end - start < found[line][1] - found[line][0]:
                found[line] = (start, end)
    return found


def marks(text: str, kind: str) -> list[tuple[int, str]]:
    """Returns lines and codes of the marks of a kind."""
    return [
        (line, code)
        for line, content in enumerate(text.splitlines(), 1)
        for found, codes in MARK.findall(content)
        if found == kind
        for code in re.findall(r"VX\d{3}", codes)
    ]


def expected(text: str, code: str) -> list[int]:
    """Returns the lines that must be reported with a code."""
    return [line for line, each in marks(text, "expect") if each == code]


def judged(text: str, reports: Iterable[Report]) -> tuple[list[tuple[int, str]], list[str]]:
    """Returns the marks that were missed, and the reports that are wrong."""
    places = spans(ast.parse(text))
    reported, allowed = list(reports), defaultdict(set)
    missed = []
    for kind in ("expect", "allow"):
        for line, code in marks(text, kind):
            start, end = places.get(line, (line, line))
            for each in range(start, end + 1):
                allowed[each].add(code)
            if kind == "expect" and not any(one.code == code and start <= one.line <= end for one in reported):
                missed.append((line, code))
    return missed, [str(one) for one in reported if one.code not in allowed[one.line]]
