"""VX512: an optimiser whose state never moves on."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module, argument
from verax.lint._optimizers import is_stateless, optimizer_parts, update_of
from verax.lint._reaching import bound, inner_nodes, is_read, is_same, is_test, reads, target_bindings, words
from verax.lint._report import Fix
from verax.lint._rule import Found, rule
from verax.lint._scopes import Function

OPTIMIZER = {"tx", "optimizer", "optimiser", "optim", "opt", "optax"}
APPLY_UPDATES = ("optax.apply_updates", "equinox.apply_updates")
OPT_STATE = ("opt_state", "optim_state", "optimizer_state", "optimiser_state", "opt_states", "tx_state")


@rule("VX512", "optimizer-state-discarded", "error")
def optimizer_state_discarded(module: Module) -> Iterator[Found]:
    """The state that an optimiser's `update` returns is not used, though its updates are.

    Momentum and moments are then those of the first step for ever, the step count stays at one, and schedules and bias
    correction with it. Nothing raises; training is slow.

    Bad:

        for batch in batches:
            updates, _ = optimizer.update(grads(params, batch), opt_state, params)

    Good:

        for batch in batches:
            updates, opt_state = optimizer.update(grads(params, batch), opt_state, params)

    The fix gives the new state the name of the old one; it is safe in a loop, where `_` stood. A single update after
    `init`, and an optimiser without a state, are fine.
    """
    for call in module.nodes(ast.Call):
        state = argument(call, 1, "state")
        if state is None or len(call.args) < 2 or not isinstance(state, ast.Name | ast.Attribute | ast.Subscript):
            continue
        optimizer = update_of(module, call)
        if optimizer is None or not _is_optimizer(module, optimizer, state, call):
            continue
        parent = module.parents.get(call)
        target = _discarded(module, call, parent)
        if target is None or is_test(module, call):
            continue
        function = module.function(call)
        if not _matters(module, call, state, function) or _is_tried(module, call, state, function):
            continue
        message = (
            f"the new state of {module.source(optimizer)} is thrown away: its moments and step count never move on. "
        )
        yield Found(call, message + f"Assign it to {module.source(state)}.", _fix(module, call, target, state))


def _is_optimizer(module: Module, node: ast.expr, state: ast.expr, call: ast.Call) -> bool:
    parts = optimizer_parts(module, node)
    if parts is not None:
        return not all(is_stateless(each) for each in parts)
    name, kept = _name(node), _name(state)
    if any(each in kept for each in OPT_STATE):
        return True
    return bool(OPTIMIZER & set(words(name))) and ("state" in words(kept) or _are_applied(module, call))


def _name(node: ast.expr) -> str:
    """Returns the last part of what an expression is called: `tx` of `self.tx`, `opt_state` of `carry["opt_state"]`."""
    if isinstance(node, ast.Subscript):
        return node.slice.value if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str) else ""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _are_applied(module: Module, call: ast.Call) -> bool:
    """Returns whether the updates that a call returns are given to `optax.apply_updates`."""
    parent = module.parents.get(call)
    if not isinstance(parent, ast.Assign) or not isinstance(parent.targets[0], ast.Tuple):
        return False
    first = target_bindings(module, parent, parent.targets[0].elts[0])
    users = [] if first is None else [module.parents.get(each) for each in reads(module, first)]
    return any(isinstance(each, ast.Call) and module.dotted(each.func) in APPLY_UPDATES for each in users)


def _discarded(module: Module, call: ast.Call, parent: ast.AST | None) -> ast.expr | None:
    """Returns the target or expression that drops the second result of a call; None where it is kept."""
    if isinstance(parent, ast.Subscript) and parent.value is call:
        return parent if isinstance(parent.slice, ast.Constant) and parent.slice.value == 0 else None
    if not isinstance(parent, ast.Assign) or len(parent.targets) != 1:
        return None
    target = parent.targets[0]
    if isinstance(target, ast.Name):
        binding = target_bindings(module, parent, target)
        every = [] if binding is None else [module.parents.get(each) for each in reads(module, binding)]
        zeros = [
            isinstance(each, ast.Subscript) and isinstance(each.slice, ast.Constant) and each.slice.value == 0
            for each in every
        ]
        return target if every and all(zeros) else None
    if not isinstance(target, ast.Tuple | ast.List) or len(target.elts) != 2:
        return None
    second = target.elts[1]
    second = second.value if isinstance(second, ast.Starred) else second
    binding = target_bindings(module, parent, second)
    return second if binding is not None and not is_read(module, binding) else None


def _matters(module: Module, call: ast.Call, state: ast.expr, function: Function | None) -> bool:
    """Returns whether more steps follow with the old state: in a loop, or as it goes in and out of a function."""
    loop = module.loop(call)
    root = state
    while isinstance(root, ast.Attribute | ast.Subscript):
        root = root.value
    if not isinstance(root, ast.Name):
        return False
    binding = module.binding(root)
    if loop is not None and (binding is None or loop not in module.around(binding.node)):
        return True
    if function is None or isinstance(function, ast.Lambda):
        return False
    where = bound(module, root)
    if where is None or where.kind == "assign":
        value = None if where is None else where.value
        comes_in = isinstance(value, ast.Name) and (of := module.binding(value)) is not None and of.kind == "param"
        if not comes_in:
            return False
    elif where.kind != "param":
        return False
    inside = [node for one in function.body for node in inner_nodes(one)]
    applies = any(
        isinstance(each, ast.Call) and (module.dotted(each.func) or "").endswith(".apply_updates") for each in inside
    )
    returns = any(
        isinstance(each, ast.Return)
        and each.value is not None
        and any(is_same(state, one) for one in ast.walk(each.value))
        for each in inside
    )
    return applies or returns


def _is_tried(module: Module, call: ast.Call, state: ast.expr, function: Function | None) -> bool:
    """Returns whether an update is a trial: another one from the same state in the function keeps what it returns."""
    for each in [] if function is None else ast.walk(function):
        if isinstance(each, ast.Call) and each is not call and is_same(each.func, call.func):
            given = argument(each, 1, "state")
            is_kept = _discarded(module, each, module.parents.get(each)) is None
            if given is not None and is_same(given, state) and is_kept:
                return True
    return False


def _fix(module: Module, call: ast.Call, target: ast.expr, state: ast.expr) -> Fix | None:
    if not isinstance(target, ast.Name) or target.id != "_" or not isinstance(state, ast.Name):
        return None
    if module.loop(call) is None or not isinstance(module.parents.get(target), ast.Tuple):
        return None
    home, here = module.binding(state), module.function(call)
    if home is None or module.function(home.node) is not here:
        return None
    edit = module.replaced(target, module.source(state))
    return Fix(f"Assign it to {state.id}", (edit,), safe=True)
