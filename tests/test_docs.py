"""Every Python block in the README and in `docs/` runs: a file's blocks one after another, in an empty folder.

A block is left out when its fence says so (```` ```python no-run ````) or when `<!-- not run: reason -->` stands above.
"""

import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import pytest

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "guide").glob("*.md"))]


class Block(NamedTuple):
    """A fenced Python block; `line` is that of its first line of code, counted from 1."""

    line: int
    code: str
    runs: bool


BLOCK = re.compile(
    r"^(?P<indent>[ \t]*)```python(?P<words>[^\n`]*)\n(?P<code>.*?)^(?P=indent)```[ \t]*$", re.MULTILINE | re.DOTALL
)


def python_blocks(text: str) -> list[Block]:
    """Returns the Python blocks of a Markdown text in order."""
    blocks = []
    for match in BLOCK.finditer(text):
        indent = match["indent"]
        code = "".join(line.removeprefix(indent) for line in match["code"].splitlines(keepends=True))
        above = text[: match.start()].rstrip().rpartition("\n")[2].strip()
        left_out = "no-run" in match["words"].split() or above.startswith("<!-- not run:")
        blocks.append(Block(text.count("\n", 0, match.start("code")) + 1, code, not left_out))
    return blocks


def run_blocks(path: Path, module: types.ModuleType) -> tuple[int, int]:
    """Runs a file's blocks in one namespace; a traceback shows the file's own lines.

    Returns:
      How many blocks ran, and how many were left out.
    """
    blocks = python_blocks(path.read_text())
    for block in blocks:
        if block.runs:
            program = compile("\n" * (block.line - 1) + block.code, str(path), "exec")
            exec(program, vars(module))
    ran = sum(block.runs for block in blocks)
    return ran, len(blocks) - ran


@pytest.fixture
def page(monkeypatch, tmp_path) -> Iterator[types.ModuleType]:
    """An empty module to run a page in; dataclasses look their module up by name. The current folder is empty too.

    Types and ranks promote as they do for a reader, not as strictly as in the other tests.
    """
    module = types.ModuleType("documentation_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield module


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_code_of_a_page_runs(path, page, record_property):
    ran, left_out = run_blocks(path, page)
    record_property("blocks", f"{ran} ran, {left_out} left out")
    print(f"{path.name}: {ran} blocks ran, {left_out} left out")


TICKS = "```"


def test_blocks_share_names_and_some_are_left_out(tmp_path, page):
    path = tmp_path / "page.md"
    path.write_text(
        f"{TICKS}python\nx = 1\n{TICKS}\ntext\n"
        f"{TICKS}python no-run\nx = 2\n{TICKS}\n"
        f"<!-- not run: downloads -->\n\n{TICKS}python\nx = 3\n{TICKS}\n"
        f"{TICKS}pycon\n>>> x = 4\n{TICKS}\n"
        f"- item\n  {TICKS}python\n  y = x + 1\n  if y:\n      y += 1\n  {TICKS}\n"
    )
    assert run_blocks(path, page) == (2, 2)
    assert (page.x, page.y) == (1, 3)


def test_a_failing_block_fails_at_its_own_line(tmp_path, page):
    path = tmp_path / "page.md"
    path.write_text(f"# Title\n\n{TICKS}python\nx = 1\nx.nothing\n{TICKS}\n")
    with pytest.raises(AttributeError, match="nothing") as failure:
        run_blocks(path, page)
    assert (str(failure.traceback[-1].path), failure.traceback[-1].lineno + 1) == (str(path), 5)
