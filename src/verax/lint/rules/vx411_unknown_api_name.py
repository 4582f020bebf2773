"""VX411: names that no release has."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._renames import renamed, rule_of_use, stale_found
from verax.lint._replacements import TRANSLATIONS
from verax.lint._rule import Found, rule
from verax.lint._tables import ROOTS, table
from verax.lint._uses import Use, uses
from verax.lint._versions import target

ALIKE = 0.8  # how near a name must be to be suggested, from 0 to 1


@rule("VX411", "unknown-api-name", "error")
def unknown_api_name(module: Module) -> Iterator[Found]:
    """A name that no release of JAX, Flax, Optax, Haiku or Orbax has or had: `jax.random.randn`, `optax.AdamW`, ...

    It is an `AttributeError`, mostly a name of another library, or one that was made up. The tables have what every
    public module of every release binds, read from the releases.

    Bad:

        noise = jax.random.randn(key, (3,))

    Good:

        noise = jax.random.normal(key, (3,))

    A name that resembles none is a warning: a release later than the tables may have it. Where a project asks for such
    a release, nothing is said. The fix is not safe: what is suggested takes other arguments. What is not seen: names of
    values and classes, private modules, `getattr`.
    """
    for use in uses(module):
        if rule_of_use(use) != "VX411":
            continue
        if use.way != "unknown":
            yield stale_found(module, use)
            continue
        new = _suggested(module, use)
        message = f"{use.dotted} is in no release up to {use.package} {target(module, use.package).newest}."
        if new is None:
            yield Found(use.node, f"{message} Is the name right?", None, "warning")
            continue
        fix = None
        if isinstance(use.node, ast.Attribute) and new.partition(".")[0] == use.package and _is_name(new):
            fix = renamed(module, use, new, safe=False)
        yield Found(use.node, f"{message} Use {new}.", fix)


def _suggested(module: Module, use: Use) -> str | None:
    parent, _, name = use.dotted.rpartition(".")
    translated = TRANSLATIONS.get(parent, {}).get(name)
    if translated is not None:
        return translated
    contents = table(use.package).module(parent)
    limits = target(module, use.package)
    names = contents.names if contents is not None else {}
    there = [each for each, release in names.items() if limits.has(release)]
    same = next((each for each in there if each.lower().replace("_", "") == name.lower().replace("_", "")), None)
    near = [same] if same else difflib.get_close_matches(name, there, n=1, cutoff=ALIKE)
    return f"{parent}.{near[0]}" if near else None


def _is_name(dotted: str) -> bool:
    return table(dotted.partition(".")[0]).added(dotted) is not None if dotted.partition(".")[0] in ROOTS else False
