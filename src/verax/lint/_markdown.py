"""Markdown pages: each Python block is a module of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from verax.lint._document import CannotRebuild, Document, Position, encoded
from verax.lint._report import Report

OPEN = re.compile(r"(?P<indent>(?:[ \t]|>[ ]?)*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^\r\n]*)[\r\n]*\Z")
PYTHON = re.compile(r"\{?\s*\.?(?:python3?|py3?)\b(?![-+.#])", re.IGNORECASE)


@dataclass(frozen=True)
class Block:
    """Lines of a page.

    Attributes:
      start: the first line, from 0.
      end: the line after the last.
      indent: what stands before each line, as in a list or a quotation.
    """

    start: int
    end: int
    indent: str


@dataclass(frozen=True)
class Page(Document):
    """A Markdown file.

    Attributes:
      lines: of the page, with their ends.
      blocks: of Python in it, in the order of `texts`.
    """

    lines: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()

    def moved(self, part: int, line: int, column: int) -> Position:
        """Returns where a line and column of a block are in the page."""
        block = self.blocks[part]
        place = min(block.start + line - 1, max(block.end - 1, block.start))
        return None, block.start + line, column + len(_indent(self.lines[place], block.indent))

    def placed(self, part: int, report: Report) -> Report:
        """Returns a report with its place in the page; a block that is no Python is often meant so, hence a note."""
        if report.code == "VX001":
            message = report.message.replace("this file", "this block")
            report = replace(report, level="note", message=message)
        return super().placed(part, report)

    def part_of(self, report: Report) -> int:
        """Returns the block of a report."""
        return next((place for place, each in enumerate(self.blocks) if each.start < report.line <= each.end + 1), 0)

    def line_at(self, report: Report) -> str:
        """Returns the source line of a report."""
        return self.lines[report.line - 1].rstrip("\r\n") if report.line <= len(self.lines) else ""

    def rebuilt(self, texts: Sequence[str]) -> bytes:
        """Returns the page with other blocks."""
        lines = list(self.lines)
        for block, old, new in reversed(list(zip(self.blocks, self.texts, texts, strict=True))):
            if new == old:
                continue
            if re.search(r"^\s*(`{3,}|~{3,})", new, re.MULTILINE):
                raise CannotRebuild("the new text holds a fence.")
            content = new.splitlines(keepends=True)
            lines[block.start : block.end] = [block.indent + each if each.strip() else each for each in content]
        return encoded("".join(lines), self.encoding)


def blocks(data: bytes, file: str) -> Page:
    """Returns a Markdown file with its Python blocks.

    Raises:
      UnicodeDecodeError: if it is not in UTF-8.
    """
    encoding = "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8"
    lines = tuple(re.findall(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+\Z", data.decode(encoding)))
    found = tuple(_blocks(lines))
    texts = ["".join(_within(line, each.indent) for line in lines[each.start : each.end]) for each in found]
    return Page(tuple(texts), (), encoding, lines=lines, blocks=found)


def _blocks(lines: Sequence[str]) -> Iterator[Block]:
    place = 0
    while place < len(lines):
        opened = OPEN.match(lines[place])
        if opened is None or (opened["fence"][0] == "`" and "`" in opened["info"]):
            place += 1
            continue
        close = re.compile(rf"[ \t>]*{re.escape(opened['fence'][0])}{{{len(opened['fence'])},}}[ \t]*[\r\n]*\Z")
        end = next((each for each in range(place + 1, len(lines)) if close.match(lines[each])), len(lines))
        if PYTHON.match(opened["info"]):
            yield Block(place + 1, end, opened["indent"])
        place = end + 1


def _indent(line: str, indent: str) -> str:
    """Returns what of an indentation stands before a line."""
    if line.startswith(indent):
        return indent
    common = 0
    while common < min(len(line), len(indent)) and line[common] == indent[common]:
        common += 1
    return indent[:common]


def _within(line: str, indent: str) -> str:
    return line[len(_indent(line, indent)) :]
