"""VX503: batch statistics that training moves must be mutable."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._edits import added_argument
from verax.lint._model_applies import applied, collections_given, is_apply, mutable_given
from verax.lint._model_modes import is_evaluating, mode_given
from verax.lint._model_needs import needs
from verax.lint._models import Frame
from verax.lint._module import Module, argument, has_stars
from verax.lint._reaching import is_same, loads
from verax.lint._report import Fix
from verax.lint._rule import Found, rule


@rule("VX503", "batch-stats-not-mutable", "error")
def batch_stats_not_mutable(module: Module) -> Iterator[Found]:
    """A model with batch statistics is applied in training mode without `mutable=["batch_stats"]`.

    In training mode `BatchNorm` writes its running averages, and Flax raises `ModifyScopeVariableError` where their
    collection is not mutable.

    Bad:

        logits = model.apply({"params": params, "batch_stats": stats}, inputs, train=True)

    Good:

        logits, updates = model.apply(
            {"params": params, "batch_stats": stats}, inputs, train=True, mutable=["batch_stats"]
        )

    The fix adds the argument; it is not safe, as the call then returns a pair. What is not seen: variables whose
    collections are made elsewhere.
    """
    for call in module.nodes(ast.Call):
        variables = argument(call, 0, "variables")
        if variables is None or not is_apply(module, call) or has_stars(call):
            continue
        mutable = mutable_given(module, call)
        if mutable is None or mutable is True or (isinstance(mutable, set) and "batch_stats" in mutable):
            continue
        if "batch_stats" not in (collections_given(module, variables) or ()):
            continue
        mode = mode_given(call)
        if (mode is not None and mode[0] == "eval") or is_evaluating(module, call):
            continue
        one = applied(module, call)
        known = argument(call, None, "method") is None and one is not None
        certain_need = known and one is not None and "batch_stats" in needs(
            module, one, call, 1, Frame(module.function(call))
        )  # fmt: skip
        if certain_need or (mode is not None and not (known and one is not None and _is_free(module, one.kind))):
            message = 'batch statistics move in training mode, and "batch_stats" is not mutable here: Flax will raise. '
            yield Found(
                call, message + 'Pass mutable=["batch_stats"] and keep what is returned second.', _fix(module, call)
            )


def _is_free(module: Module, kind: object) -> bool:
    """Returns whether a model of this file, which has no base elsewhere, has nowhere a batch norm that moves."""
    if not isinstance(kind, ast.ClassDef):
        return False
    names = loads(module).get("BatchNorm", [])
    every = [*names, *(each for each in module.nodes(ast.Attribute) if each.attr == "BatchNorm")]
    for each in every:
        call = module.parents.get(each)
        frozen = isinstance(call, ast.Call) and any(
            one.arg == "use_running_average" and is_same(one.value, ast.Constant(True)) for one in call.keywords
        )
        if not frozen:
            return False
    return bool(every) and module.bases(kind) == {"flax.linen.Module"}


def _fix(module: Module, call: ast.Call) -> Fix:
    given = argument(call, None, "mutable")
    if given is not None:
        edit = module.replaced(given, '["batch_stats"]')
    else:
        edit = added_argument(module, call, 'mutable=["batch_stats"]')
    return Fix('Add mutable=["batch_stats"]', (edit,), safe=False)
