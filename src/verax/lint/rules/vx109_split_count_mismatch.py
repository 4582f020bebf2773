"""VX109: a split into another number of keys than there are names."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module, argument, has_stars
from verax.lint._report import Edit, Fix
from verax.lint._rule import Found, rule
from verax.lint._traced_params import literals


@rule("VX109", "split-count-mismatch", "error")
def split_count_mismatch(module: Module) -> Iterator[Found]:
    """Keys of a `split` that are unpacked into another number of names than it makes.

    `split` makes two keys unless its second argument says another number; Python then raises ValueError.

    Bad:

        a, b, c = random.split(key)

    Good:

        a, b, c = random.split(key, 3)

    Where no number is given the fix is safe: it adds the number of names. What is not seen: numbers that are computed.
    """
    for statement in module.nodes(ast.Assign):
        call = statement.value
        if not isinstance(call, ast.Call) or module.called(call) != "jax.random.split" or has_stars(call):
            continue
        for target in statement.targets:
            if not isinstance(target, ast.Tuple | ast.List) or any(
                isinstance(each, ast.Starred) for each in target.elts
            ):
                continue
            names, given = len(target.elts), argument(call, 1, "num")
            made = 2 if given is None else _number(module, given)
            if made is not None and made != names:
                keys = "1 key" if made == 1 else f"{made} keys"
                message = f"split makes {keys} here, and {names} names are to be bound; make the two numbers the same."
                yield Found(call, message, _fix(module, call, names) if given is None else None)


def _number(module: Module, given: ast.expr) -> int | None:
    if isinstance(given, ast.Name) and len(module.bindings(given)) != 1:
        return None
    found = literals(module, given)
    return found[0] if found and isinstance(found[0], int) and not isinstance(found[0], bool) else None


def _fix(module: Module, call: ast.Call, names: int) -> Fix | None:
    given = [*call.args, *(each.value for each in call.keywords)]
    if not given:
        return None
    last = max(module.span(each)[1] for each in given)
    if module.text[last : module.span(call)[1] - 1].strip(" \t\r\n,"):
        return None  # parentheses or a comment
    number = f", num={names}" if call.keywords else f", {names}"
    return Fix(f"Split into {names} keys", (Edit(last, last, number),), safe=True)
