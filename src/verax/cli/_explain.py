"""`verax explain`: the page of a diagnosis; without JAX, so at once."""

from __future__ import annotations

import json as json_format
import re
from dataclasses import asdict

from verax.cli._say import console, say, table
from verax.doctor.catalogue import GROUPS, Page, page, pages


def explain(id: str = "", /, *, json: bool = False) -> int:
    """Explains a diagnosis: what you see, why, what to change, and when it is a false alarm.

    Without an id it lists all there are.

    Args:
      id: of a finding, such as double-softmax; or of a rule, such as VX101.
      json: prints it as JSON on stdout.
    """
    if re.fullmatch(r"(?i)vx\d+", id):
        from verax.cli._lint import lint

        return lint(["--explain", id, *(["--output-format", "json"] if json else [])])
    found = (page(id),) if id else pages()
    if json:
        content = [asdict(each) for each in found]
        say(json_format.dumps(content[0] if id else content, indent=1))
    elif id:
        _print(found[0])
    else:
        _list()
    return 0


def _print(found: Page) -> None:
    from rich.padding import Padding
    from rich.text import Text

    screen = console()
    screen.print(Text.assemble((found.id, "bold"), f"  {found.group}, {found.kind}"))
    screen.print(Text(f"{found.meaning[0].upper()}{found.meaning[1:]}."))
    for heading, text in found.sections():
        screen.print(Text(f"\n{heading}", "bold"))
        screen.print(Padding(Text(text), (0, 0, 0, 2), expand=False))
        for line in found.change if heading == "Change" else ():
            screen.print(Padding(Text(line, "red" if line.startswith("-") else "green"), (0, 0, 0, 4), expand=False))


def _list() -> None:
    screen = console()
    for name, group in GROUPS.items():
        screen.print(table(("id", "meaning"), [(each.id, each.meaning) for each in group], title=name))
        screen.print()
    say(f"{len(pages())} diagnoses. verax explain ID shows the page of one.")
