"""VX105: the same key at every call."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from verax.lint._key_names import FOLD_IN, in_test, sampled_by
from verax.lint._module import Module
from verax.lint._rule import Found, rule
from verax.lint._traced import transforms_around
from verax.lint._traced_params import literals

MAKERS = ("jax.random.PRNGKey", "jax.random.key", "flax.nnx.Rngs")
SHAPES = ("jax.eval_shape", "jax.make_jaxpr", "equinox.filter_eval_shape", "flax.nnx.eval_shape")
MAKING = re.compile(r"_*(create|init|initialize|make|build|set_?up)(_|$)")
EVALUATING = re.compile(r"(^|_)(eval|evaluate|evaluation)(_|$)")
TRAINING = ("train", "training", "is_training", "is_train", "train_mode", "enable_dropout")
EVALUATION = ("deterministic", "inference", "eval_mode", "is_eval")
DRAWING = ("jax.", "flax.", "equinox.", "haiku.")
CALLED = ("__call__", "apply", "forward")
SET_UP = ("init", "lazy_init", "tabulate", "lower", "create", "eval_shape")


@rule("VX105", "constant-key-per-call", "warning")
def constant_key_per_call(module: Module) -> Iterator[Found]:
    """A key that is made from a literal seed in code that runs many times: a traced function, `__call__`, a loop.

    Each run draws the same numbers: the dropout mask is the same in every step, so the same units are always off.

    Bad:

        @jax.jit
        def step(x):
            return x + random.normal(random.key(0), x.shape)

    Good:

        @jax.jit
        def step(x, key):
            return x + random.normal(key, x.shape)

    Keys that only initialize a model or serve to find shapes may be constant, and so may those of tests and
    evaluations. In a loop of Python only a key that something is drawn from, in that loop, is reported. There is no
    fix: where the key should come from is not known.
    """
    for call in module.nodes(ast.Call):
        name = module.dotted(call.func)
        if name not in MAKERS or not _is_literal(module, call):
            continue
        where = _where(module, call)
        if where and not _is_set_up(module, call, in_loop=where == "pass of the loop"):
            shown = ast.unparse(call)
            message = f"`{shown}` is the same in every {where}, so it draws the same numbers each time; pass a key in."
            yield Found(call, message)


def _is_literal(module: Module, call: ast.Call) -> bool:
    given = [*call.args, *(each.value for each in call.keywords if each.arg not in ("impl", "dtype"))]
    return bool(given) and all(any(isinstance(one, int) for one in literals(module, each)) for each in given)


def _where(module: Module, call: ast.Call) -> str:
    """Returns what repeats a call; empty where nothing is known to."""
    functions = list(module.functions(call))
    names = [getattr(each, "name", "") for each in functions]
    owner = module.class_around(call)
    if in_test(module, call) or any(name in ("main", "setUp") or MAKING.match(name) for name in names):
        return ""
    if _is_evaluation(module, call) or any(EVALUATING.search(name) for name in names):
        return ""
    transforms = transforms_around(module, call)
    if transforms and not any(each.name in SHAPES for _, each in transforms):
        return "call of the compiled function"
    if owner is not None and functions and names[-1] in CALLED and owner.bases:
        return f"call of `{owner.name}`"
    return "pass of the loop" if module.loop(call) is not None else ""


def _is_evaluation(module: Module, call: ast.Call) -> bool:
    """Returns whether a key is given to a model that is told to draw nothing: `apply(..., train=False)`."""
    for each in module.around(call):
        if isinstance(each, ast.stmt | ast.Lambda):
            return False
        if isinstance(each, ast.Call):
            for one in each.keywords:
                value = one.value.value if isinstance(one.value, ast.Constant) else None
                if (one.arg in TRAINING and value is False) or (one.arg in EVALUATION and value is True):
                    return True
    return False


def _is_set_up(module: Module, call: ast.Call, *, in_loop: bool) -> bool:
    """Returns whether a key only initializes something; in a loop, whether no draw from it is seen."""
    parent = module.parents.get(call)
    while isinstance(parent, ast.Dict | ast.keyword | ast.Tuple | ast.List):
        parent = module.parents.get(parent)
    kept = module.parents.get(call)
    if not in_loop and isinstance(kept, ast.keyword) and isinstance(parent, ast.Call):
        is_object = _last(parent).lstrip("_")[:1].isupper() and not (module.dotted(parent.func) or "").startswith(
            DRAWING
        )
        if is_object and kept.arg in ("key", "rng", "random_key"):
            return True  # an object of which the key is only a part
    used: list[ast.AST | None] = [parent]
    if isinstance(parent, ast.Assign | ast.AnnAssign):
        target = parent.targets[0] if isinstance(parent, ast.Assign) else parent.target
        if not isinstance(target, ast.Name):
            return in_loop
        scope = module.scopes[parent]
        used = [
            module.parents.get(each)
            for each in module.nodes(ast.Name)
            if each.id == target.id and isinstance(each.ctx, ast.Load) and module.scopes[each] is scope
        ]
    calls = [each for each in used if isinstance(each, ast.Call)]
    if in_loop:
        return not any(sampled_by(module, each.func) or _is_applied(each) for each in calls)
    if any(module.dotted(each.func) in FOLD_IN and not literals(module, each.args[-1]) for each in calls if each.args):
        return True  # it is folded with what changes
    return bool(calls) and all(_last(each).startswith(SET_UP) or module.dotted(each.func) in SHAPES for each in calls)


def _is_applied(call: ast.Call) -> bool:
    """Returns whether a model draws from what a call gives it: `model.apply(variables, x, rngs={...})`."""
    return _last(call) in ("apply", "apply_fn") and any(each.arg in ("rngs", "rng") for each in call.keywords)


def _last(call: ast.Call) -> str:
    return getattr(call.func, "attr", "") or getattr(call.func, "id", "")
