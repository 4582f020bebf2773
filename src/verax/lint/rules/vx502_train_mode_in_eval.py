"""VX502: an evaluation runs the model as in training."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from verax.lint._model_applies import is_apply
from verax.lint._model_modes import is_evaluating, mode_given
from verax.lint._module import Module, argument
from verax.lint._reaching import PARTIAL, function_names, inner_nodes, words
from verax.lint._report import Fix
from verax.lint._rule import Found, rule
from verax.lint._scopes import FUNCTIONS

MEANT = re.compile(r"\bmc\b|monte[- _]?carlo|uncertaint|bayesian|stochastic|mc_?dropout|ensembl", re.IGNORECASE)
GRADIENTS = ("jax.grad", "jax.value_and_grad")
MODEL = {"model", "net", "network", "forward", "apply", "module", "classifier", "encoder", "decoder"}


@rule("VX502", "train-mode-in-eval", "warning")
def train_mode_in_eval(module: Module) -> Iterator[Found]:
    """A function that evaluates, by its name, runs the model with `training=True` or `deterministic=False`.

    Dropout then makes predictions random and worse, and batch normalisation mixes the examples of a batch.

    Bad:

        def eval_step(state, batch):
            return state.apply_fn(variables, batch["inputs"], training=True)

    Good:

        def eval_step(state, batch):
            return state.apply_fn(variables, batch["inputs"], training=False)

    The fix turns the literal round; it is not safe, as the results change. Dropout that is meant (Monte Carlo dropout,
    uncertainty) is left alone where a name, a comment (also one that names the flag) or many keys say so. What is not
    seen: flags by place.
    """
    for call in module.nodes(ast.Call):
        if not call.keywords:
            continue
        mode = mode_given(call)
        if mode is None or mode[0] != "train" or not _applies(module, call) or not is_evaluating(module, call):
            continue
        if _is_meant(module, call):
            continue
        flag = mode[1]
        assert isinstance(flag.value, ast.Constant)
        name = next(iter(function_names(module, call)), "")
        new = str(not flag.value.value)
        fix = Fix(f"Set {flag.arg}={new}", (module.replaced(flag.value, new),), safe=False)
        message = f"{name} evaluates, but runs the model in training mode. Pass {flag.arg}={new}."
        yield Found(call, message, fix)


def _applies(module: Module, call: ast.Call) -> bool:
    if is_apply(module, call):
        return True
    if module.dotted(call.func) in PARTIAL and call.args:
        inner = call.args[0]
        return isinstance(inner, ast.Attribute | ast.Name) and _last(inner).lstrip("_") in ("apply", "apply_fn")
    if module.dotted(call.func) is not None:
        return False
    return isinstance(call.func, ast.Attribute | ast.Name) and words(_last(call.func))[-1:] != [] and (
        words(_last(call.func))[-1] in MODEL
    )  # fmt: skip


def _last(node: ast.Attribute | ast.Name) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id


def _is_meant(module: Module, call: ast.Call) -> bool:
    rngs = argument(call, None, "rngs", "rng", "key")
    for each in [] if rngs is None else inner_nodes(rngs):
        if isinstance(each, ast.Name):
            binding = module.binding(each)
            if binding is not None and (
                isinstance(binding.node, ast.comprehension | ast.For)
                or (binding.kind == "param" and isinstance(_function_of(module, binding.node), ast.Lambda))
            ):
                return True  # many masks
    functions = [each for each in module.functions(call) if not isinstance(each, ast.Lambda)]
    if not functions:
        return False
    line = module.statement(call).lineno
    above = [each.strip() for each in module.lines[max(line - 5, 0) : line - 1]]
    flags = [f"{each.arg}=" for each in call.keywords if each.arg]
    if any(each.startswith("#") and any(flag in each for flag in flags) for each in above):
        return True
    whole = functions[-1]
    if MEANT.search(module.source(whole)) or MEANT.search(module.lines[max(whole.lineno - 2, 0)]):
        return True
    inside = [each for each in inner_nodes(functions[0]) if isinstance(each, ast.Call)]
    return any(module.dotted(each.func) in GRADIENTS for each in inside)


def _function_of(module: Module, node: ast.AST) -> ast.AST | None:
    return next((each for each in module.around(node) if isinstance(each, FUNCTIONS)), None)
