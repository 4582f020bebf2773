"""What `docs/guide/snippets.md` shows of each snippet is what the linter says.

Run as a program (`make pages`), this file renews what the page shows.
"""

import re
import sys
from pathlib import Path

import pytest

from verax.lint._check import check
from verax.lint._rule import all_rules

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "snippets.md"
PART = re.compile(r"```python no-run\n(?P<code>.*?)```\n\n```text(?P<command>[^\n]*)\n(?P<output>.*?)```", re.DOTALL)
QUIET = "nothing is reported\n"


def output(code: str, command: str) -> str:
    """Returns what the linter says, with the rules that the command asks for."""
    asked = command.split()[-1:] if command else []
    rules = [each for each in all_rules().values() if not each.opt_in or each.code in asked]
    checked = check(code, rules, "snippet.py")
    assert not checked.broken
    return "".join(f"{each}\n" for each in checked.reports) or QUIET


def renewed(text: str) -> str:
    """Returns the page with what the linter says now."""

    def part(match: re.Match[str]) -> str:
        code, command = match["code"], match["command"]
        return f"```python no-run\n{code}```\n\n```text{command}\n{output(code, command)}```"

    return PART.sub(part, text)


PARTS = list(PART.finditer(PAGE.read_text()))


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part["code"].strip().splitlines()[-1].strip()[:30])
def test_the_page_shows_what_the_linter_says(part):
    assert part["output"] == output(part["code"], part["command"]), (
        "docs/guide/snippets.md shows something else. Renew it: make pages"
    )


def test_every_mistake_is_on_the_page():
    assert len(PARTS) == 15
    quiet = sum(part["output"] == QUIET for part in PARTS)
    assert quiet <= 3, "what no rule sees is the exception"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
    sys.exit(0)
