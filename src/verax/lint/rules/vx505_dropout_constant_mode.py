"""VX505: a layer that is always in training mode."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._model_modes import EVAL, TRAIN
from verax.lint._models import ATTENTION, field_names, is_linen, layer_class, made
from verax.lint._module import Module
from verax.lint._reaching import PARTIAL, is_test
from verax.lint._report import Fix
from verax.lint._rule import Found, rule
from verax.lint._scopes import FUNCTIONS
from verax.lint._traced_params import parameters

FLAG = {
    "flax.linen.Dropout": "deterministic",
    "flax.linen.BatchNorm": "use_running_average",
    **dict.fromkeys(ATTENTION, "deterministic"),
}


@rule("VX505", "dropout-constant-mode", "warning")
def dropout_constant_mode(module: Module) -> Iterator[Found]:
    """A layer in a Linen module has `deterministic=False` or `use_running_average=False` as a literal.

    It stays in training mode whatever the caller says: predictions are random, and batch normalisation depends on the
    other examples of the batch.

    Bad:

        inputs = nn.Dropout(0.5, deterministic=False)(inputs)

    Good:

        inputs = nn.Dropout(0.5, deterministic=not training)(inputs)

    The fix takes the one flag that the method or the module has; it is not safe, as evaluation changes. `True`, as for
    a batch norm that is frozen, is fine, and so are models of unit tests. What is not seen: literals in functions
    outside of a module.
    """
    for each in module.nodes(ast.keyword):
        if each.arg not in ("deterministic", "use_running_average") or not _is_false(each.value):
            continue
        call = module.parents.get(each)
        owner = module.class_around(each)
        if not isinstance(call, ast.Call) or owner is None or not is_linen(module, owner):
            continue
        kind = _layer(module, call)
        if kind is None or FLAG.get(kind) != each.arg or _rate_is_zero(module, call) or _is_in_training(module, call):
            continue
        if is_test(module, call):
            continue
        layer = kind.rpartition(".")[2]
        message = f"{layer} is always in training mode: {each.arg} is the literal False. Pass the model's flag."
        yield Found(each.value, message, _fix(module, each.value, owner))


def _is_false(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return isinstance(node.operand, ast.Constant) and node.operand.value is True
    return isinstance(node, ast.Constant) and node.value is False


def _layer(module: Module, call: ast.Call) -> str | None:
    """Returns the layer of Flax that a call makes, calls, or gives to `partial`."""
    if module.dotted(call.func) in PARTIAL and call.args:
        found = layer_class(module, call.args[0])
        return found[0] if found is not None and isinstance(found[0], str) else None
    found = layer_class(module, call.func)
    if found is not None:
        return found[0] if isinstance(found[0], str) else None
    one = made(module, call.func)
    return one.kind if one is not None and isinstance(one.kind, str) else None


def _rate_is_zero(module: Module, call: ast.Call) -> bool:
    one = made(module, call) or made(module, call.func)
    if one is None or not isinstance(one.kind, str):
        return False
    rate = one.fields.get("dropout_rate" if one.kind in ATTENTION else "rate")
    if rate is None:
        return one.kind in ATTENTION and not one.hidden
    return isinstance(rate, ast.Constant) and not rate.value


def _is_in_training(module: Module, node: ast.AST) -> bool:
    """Returns whether a branch on a flag of the mode leads to a node, so that the literal says what the flag said."""
    child: ast.AST = node
    for each in module.around(node):
        if isinstance(each, ast.If | ast.IfExp) and child is not each.test and _reads_flag(each.test):
            return True
        for block in (getattr(each, "body", None), getattr(each, "orelse", None)):
            if isinstance(block, list) and child in block:
                before = block[: block.index(child)]
                if any(isinstance(one, ast.If) and _reads_flag(one.test) and _leaves(one) for one in before):
                    return True
        if isinstance(each, FUNCTIONS):
            return False
        child = each
    return False


def _leaves(node: ast.If) -> bool:
    return isinstance(node.body[-1], ast.Return | ast.Raise)


def _reads_flag(test: ast.expr) -> bool:
    names = {each.id if isinstance(each, ast.Name) else each.attr for each in ast.walk(test)
             if isinstance(each, ast.Name | ast.Attribute)}  # fmt: skip
    return any(name.lstrip("_") in TRAIN or name.lstrip("_") in EVAL for name in names)


def _fix(module: Module, node: ast.expr, owner: ast.ClassDef) -> Fix | None:
    found: list[str] = []
    for function in module.functions(node):
        if isinstance(function, FUNCTIONS):
            found += [each.arg for each in parameters(function) if each.arg in TRAIN or each.arg in EVAL]
    found += [f"self.{name}" for name in field_names(module, owner) if name in TRAIN or name in EVAL]
    if len(found) != 1:
        return None
    new = found[0] if found[0].removeprefix("self.") in EVAL else f"not {found[0]}"
    return Fix(f"Pass {new}", (module.replaced(node, new),), safe=False)
