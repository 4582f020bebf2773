"""`docs/lint/`, the pages of the rules for readers on the web, is what is written here from their docstrings.

Run as a program (`make pages`), this file renews them.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from verax.lint._rule import Rule, all_rules

FOLDER = Path(__file__).parents[2] / "docs" / "lint"
HEAD = "<!-- Written by `make pages` from the docstrings in src/verax/lint/rules/. Do not edit. -->\n"
INTRODUCTION = """# Rules of `verax lint`

`verax lint --explain VX101` shows a page on a terminal; the [guide](../guide/linting.md) says how to run, silence and
configure the linter. An *error* is wrong or will raise, a *warning* very likely wrong, a *note* advice. Rules marked
*asked for* are off unless they are selected.
"""
FAMILIES = {
    "1": "Randomness",
    "2": "Purity and tracing",
    "3": "Compilation and performance",
    "4": "Stale or unknown API",
    "5": "Models and training",
    "6": "Numerics",
}
EACH = pytest.mark.parametrize("rule", all_rules().values(), ids=lambda rule: rule.code)


def file_of(rule: Rule) -> str:
    return FAMILIES[rule.code[2]].lower().replace(" ", "-") + ".md"


def written() -> dict[str, str]:
    """Returns the text of each file of `docs/lint/`."""
    files = {"README.md": HEAD + "\n" + INTRODUCTION + "".join(map(_index, FAMILIES))}
    for digit, family in FAMILIES.items():
        text = "\n".join([HEAD, f"# {family}\n\n[All rules](README.md)", *map(_page, _family(digit))])
        files[family.lower().replace(" ", "-") + ".md"] = text + "\n"
    return files


def _family(digit: str) -> list[Rule]:
    return [rule for rule in all_rules().values() if rule.code[2] == digit]


def _index(digit: str) -> str:
    rows = [
        f"| [{rule.code}]({file_of(rule)}#{rule.code.lower()}-{rule.name}) | {rule.name} | "
        f"{rule.level}{', asked for' if rule.opt_in else ''} | {_flat(rule.page.partition(chr(10) * 2)[0])} |"
        for rule in _family(digit)
    ]
    return (
        "\n".join([f"\n## {FAMILIES[digit]}\n", "| code | name | level | finds |", "|---|---|---|---|", *rows]) + "\n"
    )


def _flat(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _page(rule: Rule) -> str:
    asked = ", off unless it is asked for" if rule.opt_in else ""
    return f"\n## {rule.code} {rule.name}\n\n*{rule.level}{asked}*\n\n" + "\n".join(_markdown(rule.page))


def _markdown(page: str) -> Iterator[str]:
    """Yields the lines of a docstring, its indented code in fences."""
    inside = False
    lines = page.splitlines()
    for place, line in enumerate(lines):
        code = line.startswith("    ")
        if code and not inside:
            yield "```python"
            inside = True
        later = next((each for each in lines[place:] if each.strip()), "")
        if inside and not code and (line.strip() or not later.startswith("    ")):
            yield "```"
            inside = False
        yield line[4:] if code else line
    if inside:
        yield "```"


def test_the_pages_are_current():
    files = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert files == written(), "docs/lint/ is not what the rules say. Renew it: make pages"


@EACH
def test_a_page_has_what_a_reader_needs(rule):
    assert "Bad:\n\n    " in rule.page and "Good:\n\n    " in rule.page
    assert len(rule.page) > 200
    first = rule.page.partition("\n\n")[0]
    assert first.endswith(".") and len(first) < 260


def test_code_becomes_a_fence():
    assert list(_markdown("One.\n\nBad:\n\n    a = 1\n\n    b = 2\n\nTwo.")) == [
        "One.", "", "Bad:", "", "```python", "a = 1", "", "b = 2", "```", "", "Two.",
    ]  # fmt: skip


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.iterdir():
        path.unlink()
    for name, text in written().items():
        (FOLDER / name).write_text(text)
