"""Edits that several fixes make."""

from __future__ import annotations

import ast

from verax.lint._module import Module
from verax.lint._report import Edit


def added_argument(module: Module, call: ast.Call, text: str) -> Edit:
    """Returns the edit that gives a call one more argument, behind the last one and its parentheses."""
    end = module.span(call)[1] - 1
    every = [*call.args, *(each.value for each in call.keywords)]
    if not every:
        return Edit(end, end, text)
    place = at = max(module.span(each)[1] for each in every)
    while at < end:
        if module.text[at] == "#":
            at = module.text.index("\n", at)
        elif module.text[at] == ")":
            place = at + 1
        at += 1
    return Edit(place, place, f", {text}")
