"""VX504: batch statistics that are computed and thrown away."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._model_applies import collections_given, is_apply, mutable_given
from verax.lint._model_modes import is_evaluating, mode_given
from verax.lint._module import Module, argument
from verax.lint._reaching import is_read, is_test, reads, target_bindings
from verax.lint._rule import Found, rule
from verax.lint._scopes import Binding


@rule("VX504", "batch-stats-discarded", "error")
def batch_stats_discarded(module: Module) -> Iterator[Found]:
    """The batch statistics that `apply(..., mutable=["batch_stats"])` returns are not used.

    `apply` changes nothing in place. The running averages stay what they were at the start, and the model is wrong as
    soon as it is evaluated with them, though training looks fine.

    Bad:

        logits, _ = model.apply(variables, inputs, train=True, mutable=["batch_stats"])

    Good:

        logits, updates = model.apply(variables, inputs, train=True, mutable=["batch_stats"])
        return loss(logits), updates["batch_stats"]

    What is not seen: statistics that a function returns and its caller throws away.
    """
    for call in module.nodes(ast.Call):
        if not call.keywords or not is_apply(module, call):
            continue
        mutable = mutable_given(module, call)
        if mutable is True:
            if "batch_stats" not in (collections_given(module, argument(call, 0, "variables")) or ()):
                continue
        elif not isinstance(mutable, set) or "batch_stats" not in mutable:
            continue
        mode = mode_given(call)
        if mode is not None and mode[0] == "eval":
            continue
        if not _is_discarded(module, call) or is_evaluating(module, call) or is_test(module, call):
            continue
        message = "the new batch statistics are thrown away, so the running averages never move. "
        message += 'Keep what is returned second, and its ["batch_stats"], for the next step.'
        part = argument(call, None, "method")  # of the model, which may have no batch norm
        yield Found(call, message, level=None if part is None else "warning")


def _is_discarded(module: Module, call: ast.Call) -> bool:
    parent = module.parents.get(call)
    if isinstance(parent, ast.Subscript) and parent.value is call:
        return _index(parent) == 0
    if isinstance(parent, ast.NamedExpr):
        return False
    if not isinstance(parent, ast.Assign) or len(parent.targets) != 1:
        return isinstance(parent, ast.Expr)
    target = parent.targets[0]
    if isinstance(target, ast.Tuple | ast.List) and len(target.elts) == 2:
        second = target.elts[1]
        second = second.value if isinstance(second, ast.Starred) else second
        binding = target_bindings(module, parent, second)
        return binding is not None and not _is_used(module, binding)
    if isinstance(target, ast.Name):
        binding = target_bindings(module, parent, target)
        if binding is None:
            return False
        every = [module.parents.get(each) for each in reads(module, binding)]
        return bool(every) and all(isinstance(each, ast.Subscript) and _index(each) == 0 for each in every)
    return False


def _is_used(module: Module, binding: Binding) -> bool:
    if not is_read(module, binding):
        return False
    every = [module.parents.get(each) for each in reads(module, binding)]
    if not every:
        return True  # in a way that is not seen
    return not all(
        isinstance(each, ast.Subscript) and isinstance(each.slice, ast.Constant) and isinstance(each.slice.value, str)
        and each.slice.value != "batch_stats"
        for each in every
    )  # fmt: skip


def _index(node: ast.Subscript) -> object:
    return node.slice.value if isinstance(node.slice, ast.Constant) else None
