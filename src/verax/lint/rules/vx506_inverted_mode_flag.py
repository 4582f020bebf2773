"""VX506: a flag of training given where one of evaluation is wanted."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._model_modes import EVAL, TRAIN
from verax.lint._models import layer_class, made
from verax.lint._module import Module
from verax.lint._reaching import certain
from verax.lint._report import Fix
from verax.lint._rule import Found, rule

WANTED = ("deterministic", "use_running_average")


@rule("VX506", "inverted-mode-flag", "error")
def inverted_mode_flag(module: Module) -> Iterator[Found]:
    """`deterministic` or `use_running_average` is given a flag that is true in training.

    Dropout is then on in evaluation and off in training, and nothing raises.

    Bad:

        inputs = nn.Dropout(0.5, deterministic=training)(inputs)

    Good:

        inputs = nn.Dropout(0.5, deterministic=not training)(inputs)

    The fix adds or removes the `not`; it is offered as safe where the flag is a name. What is not seen: flags whose
    name does not tell what they mean.
    """
    for each in module.nodes(ast.keyword):
        if each.arg in WANTED and _sense(module, each.value) == "train":
            yield _found(module, each.value, each.arg)
    for call in module.nodes(ast.Call):
        if not call.args:
            continue
        given, flag = _by_place(module, call)
        if given is not None and _sense(module, given) == "train":
            yield _found(module, given, flag)


def _by_place(module: Module, call: ast.Call) -> tuple[ast.expr | None, str]:
    """Returns the flag that a layer is given by its place: the first of BatchNorm, the second of a call."""
    if any(isinstance(each, ast.Starred) for each in call.args):
        return None, ""
    kind = layer_class(module, call.func) if isinstance(call.func, ast.Name | ast.Attribute) else None
    if kind is not None:
        return (call.args[0], "use_running_average") if kind[0] == "flax.linen.BatchNorm" else (None, "")
    if len(call.args) == 2 and isinstance(call.func, ast.Call | ast.Name | ast.Attribute):
        one = made(module, call.func)
        if one is not None and one.kind == "flax.linen.Dropout":
            return call.args[1], "deterministic"
        if one is not None and one.kind == "flax.linen.BatchNorm":
            return call.args[1], "use_running_average"
    return None, ""


def _sense(module: Module, node: ast.expr, depth: int = 0) -> str | None:
    """Returns whether a flag is true in training (`train`) or in evaluation (`eval`); None if that is not known."""
    if depth > 8:
        return None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        sense = _sense(module, node.operand, depth + 1)
        return {"train": "eval", "eval": "train", None: None}[sense]
    if isinstance(node, ast.IfExp) and isinstance(node.body, ast.Constant) and isinstance(node.orelse, ast.Constant):
        sense = _sense(module, node.test, depth + 1)
        if node.body.value is True and node.orelse.value is False:
            return sense
        if node.body.value is False and node.orelse.value is True:
            return {"train": "eval", "eval": "train", None: None}[sense]
        return None
    if isinstance(node, ast.Call) and module.dotted(node.func) == "builtins.bool" and len(node.args) == 1:
        return _sense(module, node.args[0], depth + 1)
    if isinstance(node, ast.Name):
        value = certain(module, node)
        if value is not node and not isinstance(value, ast.Constant):
            sense = _sense(module, value, depth + 1)
            if sense is not None:
                return sense
        return _of_name(node.id)
    return _of_name(node.attr) if isinstance(node, ast.Attribute) else None


def _of_name(name: str) -> str | None:
    name = name.lstrip("_").lower()
    return "train" if name in TRAIN else "eval" if name in EVAL else None


def _found(module: Module, node: ast.expr, flag: str) -> Found:
    text = module.source(node)
    message = f"{flag}={text} is the wrong way round: {flag} must be true in evaluation. "
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        new = module.source(node.operand)
    elif isinstance(node, ast.Name | ast.Attribute):
        new = f"not {text}"
    else:
        return Found(node, message + "Turn the flag round.")
    return Found(node, message + f"Pass {new}.", Fix(f"Pass {new}", (module.replaced(node, new),), safe=True))
