"""Fixes applied: none overlaps another, what comes of them parses, and they are repeated until nothing is left."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from verax.lint._document import CannotRebuild, Document, document, is_python
from verax.lint._outcome import Outcome
from verax.lint._report import Edit, Fix, Report

ROUNDS = 50


@dataclass(frozen=True)
class Fixed:
    """A file with its fixes.

    Attributes:
      before: its bytes.
      after: its bytes with all fixes; those before where a fix went wrong.
      count: how many reports were mended.
      outcome: what is left.
      problem: why the file is left as it was; empty where nothing went wrong.
    """

    before: bytes
    after: bytes
    count: int
    outcome: Outcome
    problem: str = ""


def fixed(
    data: bytes, file: str, check: Callable[[Document], Outcome], *, unsafe: bool = False, markdown: bool = False
) -> Fixed:
    """Returns a file with the fixes of its reports; nothing is written.

    Args:
      data: of the file.
      file: its name.
      check: what is reported of it.
      unsafe: whether fixes count too after which the program may compute something else.
      markdown: whether the blocks of a Markdown file are meant.
    """
    first = check(current := document(data, file, markdown=markdown))
    outcome, content, count = first, data, 0
    seen = {data}
    for _ in range(ROUNDS):
        chosen = _chosen(current, outcome.reports, unsafe)
        if not chosen:
            break
        try:
            texts = _applied(current, chosen)
            content = current.rebuilt(texts)
        except CannotRebuild as error:
            return Fixed(data, data, 0, first, f"its fixes are left out: {error}")
        again = document(content, file, markdown=markdown)
        if again.texts != tuple(texts):
            return Fixed(data, data, 0, first, "its fixes are left out: they cannot be written back.")
        count += sum(len(each) for each in chosen.values())
        current, outcome = again, check(again)
        if content in seen:
            return Fixed(data, data, 0, first, "its fixes are left out: they undo one another.")
        seen.add(content)
    else:
        return Fixed(data, data, 0, first, f"its fixes are left out: {ROUNDS} rounds did not end them.")
    return Fixed(data, content, count, outcome)


def _chosen(found: Document, reports: Iterable[Report], unsafe: bool) -> dict[int, list[Fix]]:
    """Returns by module the fixes that can be applied together, the first ones in the text first."""
    wanted: dict[int, list[Fix]] = {}
    for report in reports:
        if report.fix is not None and report.fix.edits and (report.fix.safe or unsafe):
            wanted.setdefault(found.part_of(report), []).append(report.fix)
    chosen: dict[int, list[Fix]] = {}
    for part, fixes in wanted.items():
        taken: list[Edit] = []
        for fix in sorted(fixes, key=lambda each: min(each.edits)):
            if _is_change(fix, found.texts[part]) and not any(
                _clash(one, other) for one in fix.edits for other in taken
            ):
                taken += fix.edits
                chosen.setdefault(part, []).append(fix)
    return chosen


def _is_change(fix: Fix, text: str) -> bool:
    return any(text[each.start : each.end] != each.text for each in fix.edits)


def _clash(one: Edit, other: Edit) -> bool:
    """Returns whether two edits cannot be made together; the same insertion, as of an import, is made once."""
    if one == other:
        return one.start != one.end
    return one.start <= other.end and other.start <= one.end


def _applied(found: Document, chosen: dict[int, list[Fix]]) -> list[str]:
    """Returns the texts of all modules with edits.

    Raises:
      CannotRebuild: if one does not parse.
    """
    texts = list(found.texts)
    for part, fixes in chosen.items():
        texts[part] = edited(texts[part], [edit for fix in fixes for edit in fix.edits])
        if not is_python(texts[part]):
            title = fixes[0].title if len(fixes) == 1 else f"{len(fixes)} fixes"
            raise CannotRebuild(f"it would no longer be Python after {title!r}.")
    return texts


def edited(text: str, edits: Sequence[Edit]) -> str:
    """Returns a text with edits; line ends of what they insert are those of the text.

    Example:
      >>> edited("a + b", [Edit(0, 1, "c"), Edit(5, 5, " + d")])
      'c + b + d'
    """
    newline = "\r\n" if "\r\n" in text else "\r" if "\r" in text and "\n" not in text else "\n"
    pieces, place = [], 0
    for edit in sorted(set(edits)):
        content = edit.text if newline == "\n" else edit.text.replace("\r\n", "\n").replace("\n", newline)
        pieces += [text[place : max(edit.start, place)], content]
        place = max(edit.end, place)
    return "".join([*pieces, text[place:]])


def diff(change: Fixed, file: str) -> str:
    """Returns a unified diff of what fixes change in a file; empty where they change nothing."""
    if change.before == change.after:
        return ""
    old, new = (_shown(each) for each in (change.before, change.after))
    lines = difflib.unified_diff(old, new, f"a/{file}", f"b/{file}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _shown(data: bytes) -> list[str]:
    from verax.lint._document import decoded

    try:
        text, _ = decoded(data)
    except (UnicodeDecodeError, LookupError, SyntaxError):
        text = data.decode(errors="replace")
    lines = text.split("\n")
    return [*(f"{line}\n" for line in lines[:-1]), *lines[-1:]] if lines[-1] else [f"{line}\n" for line in lines[:-1]]
