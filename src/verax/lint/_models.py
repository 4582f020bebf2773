"""Which Linen modules of a file draw dropout masks or move batch statistics, and which calls apply them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from verax.lint._module import Module, argument, has_stars
from verax.lint._reaching import (
    PARTIAL,
    attribute_values,
    bound,
    certain,
    class_values,
    inner_nodes,
    is_plain,
    is_same,
    is_test,
    leads_to,
    returned,
    words,
)
from verax.lint._scopes import FUNCTIONS, Function

TRAIN = {
    "train", "training", "is_training", "is_train", "train_mode", "training_mode", "in_training", "istraining",
    "do_train", "do_training",
}  # fmt: skip
EVAL = {
    "deterministic", "eval", "eval_mode", "evaluate", "evaluation", "inference", "is_eval", "is_inference", "testing",
    "is_test", "is_testing", "is_evaluation", "use_running_average", "use_running_avg", "inference_mode",
    "is_eval_mode", "is_deterministic", "evaluating", "is_evaluating",
}  # fmt: skip
LAYERS = {
    f"flax.linen.{name}"
    for name in (
        "BatchNorm", "Bidirectional", "Conv", "ConvLSTMCell", "ConvLocal", "ConvTranspose", "Dense", "DenseGeneral",
        "Dropout", "Einsum", "Embed", "GRUCell", "GroupNorm", "InstanceNorm", "LSTMCell", "LayerNorm", "MGUCell",
        "MultiHeadAttention", "MultiHeadDotProductAttention", "OptimizedLSTMCell", "PReLU", "RMSNorm", "RNN",
        "SelfAttention", "Sequential", "SimpleCell", "SpectralNorm", "WeightNorm",
    )
}  # fmt: skip
ATTENTION = {
    "flax.linen.MultiHeadAttention", "flax.linen.MultiHeadDotProductAttention", "flax.linen.SelfAttention",
}  # fmt: skip
LIFTS = {
    "flax.linen.remat", "flax.linen.checkpoint", "flax.linen.jit", "flax.linen.vmap", "flax.linen.scan",
    "flax.linen.remat_scan", "flax.linen.map_variables", "flax.linen.add_metadata_axis",
}  # fmt: skip
OF_APPLY = {"rngs", "mutable", "method", "capture_intermediates"}
DEPTH = 8


class _Unknown:
    def __bool__(self) -> bool:
        raise TypeError("whether an unknown value is true is not known")


UNKNOWN: Any = _Unknown()


@dataclass
class Made:
    """A module as a call makes it.

    Attributes:
      kind: dotted name of a layer of Flax, or the class in this file.
      fields: of its fields, the expressions given.
      hidden: whether `**options` may have given others.
      within: the function in which they are read, and the values of its parameters and of the fields of its `self`.
    """

    kind: str | ast.ClassDef
    fields: dict[str, ast.expr]
    hidden: bool = False
    within: Frame | None = None


@dataclass
class Frame:
    """A function as it is called.

    Attributes:
      function: the function, None at the top of the module.
      given: values of its parameters.
      fields: values of the fields of `self`.
      owner: the class of `self`.
    """

    function: Function | None
    given: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    owner: ast.ClassDef | None = None


def is_linen(module: Module, owner: ast.ClassDef) -> bool:
    """Returns whether a class is a Linen module."""
    known: dict[ast.ClassDef, bool] = module.shared("linen", lambda _: {})
    if owner not in known:
        known[owner] = "flax.linen.Module" in module.bases(owner)
    return known[owner]


def layer_class(module: Module, node: ast.expr) -> tuple[str | ast.ClassDef, list[ast.Call]] | None:
    """Returns the layer of Flax, or Linen class of this file, that an expression is, with what `partial` gave it."""
    given: list[ast.Call] = []
    for _ in range(DEPTH):
        name = module.dotted(node)
        if name in LAYERS:
            assert name is not None
            return name, given
        found = module.definition(node)
        if isinstance(found, ast.ClassDef):
            return (found, given) if is_linen(module, found) else None
        value = certain(module, node)
        if isinstance(value, ast.Call) and value.args:
            called = module.dotted(value.func)
            if called in PARTIAL:
                given.append(value)
            elif called not in LIFTS:
                return None
            node = value.args[0]
        elif value is node:
            return None
        else:
            node = value
    return None


def field_names(module: Module, owner: ast.ClassDef, depth: int = 0) -> dict[str, ast.expr | None]:
    """Returns the fields of a Linen class in order, with their defaults; those of its bases in this file first."""
    found: dict[str, ast.expr | None] = {}
    for base in owner.bases:
        local = module.definition(base)
        if isinstance(local, ast.ClassDef) and local is not owner and depth < DEPTH:
            found |= field_names(module, local, depth + 1)
    for each in owner.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            found[each.target.id] = each.value
    return found


PLACES = {
    "flax.linen.Dropout": ["rate", "broadcast_dims", "deterministic", "rng_collection"],
    "flax.linen.BatchNorm": ["use_running_average", "axis", "momentum", "epsilon"],
}


def made(module: Module, node: ast.expr, frame: Frame | None = None) -> Made | None:
    """Returns the module that an expression makes: `Net(8)`, or a name or attribute that is one."""
    node = certain(module, node)
    if isinstance(node, ast.Attribute):
        values = attribute_values(module, node)
        if len(values) != 1 or values[0] is node:
            return None
        node = values[0]
    if not isinstance(node, ast.Call):
        return None
    kind = layer_class(module, node.func)
    if kind is None:
        function = module.definition(node.func)
        if isinstance(function, FUNCTIONS) and is_plain(module, function):
            every = returned(module, function)
            if len(every) == 1 and every[0] is not None and isinstance(certain(module, every[0]), ast.Call):
                inner = certain(module, every[0])
                assert isinstance(inner, ast.Call)
                kind = layer_class(module, inner.func)
                if kind is not None:
                    return _made_by(module, inner, kind, Frame(function))
        return None
    return _made_by(module, node, kind, frame)


def _made_by(
    module: Module, call: ast.Call, found: tuple[str | ast.ClassDef, list[ast.Call]], frame: Frame | None
) -> Made:
    kind, partials = found
    names = PLACES.get(kind, []) if isinstance(kind, str) else list(field_names(module, kind))
    fields: dict[str, ast.expr] = {}
    places = [each for one in reversed(partials) for each in one.args[1:]] + call.args
    for name, value in zip(names, places, strict=False):
        if isinstance(value, ast.Starred):
            break
        fields[name] = value
    for each in [*reversed(partials), call]:
        fields |= {one.arg: one.value for one in each.keywords if one.arg}
    return Made(kind, fields, any(has_stars(each) for each in [*partials, call]), frame)


# Values.


def evaluated(module: Module, node: ast.expr | None, frame: Frame, depth: int = 0) -> Any:
    """Returns the value of a flag, or UNKNOWN."""
    if node is None or depth > DEPTH:
        return UNKNOWN
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        binding = bound(module, node)
        if binding is not None and binding.kind == "param":
            return frame.given.get(node.id, UNKNOWN) if module.function(binding.node) is frame.function else UNKNOWN
        value = certain(module, node)
        return UNKNOWN if value is node else evaluated(module, value, frame, depth + 1)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return frame.fields.get(node.attr, UNKNOWN)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        value = evaluated(module, node.operand, frame, depth + 1)
        return UNKNOWN if value is UNKNOWN else not value
    if isinstance(node, ast.IfExp):
        test = evaluated(module, node.test, frame, depth + 1)
        return UNKNOWN if test is UNKNOWN else evaluated(module, node.body if test else node.orelse, frame, depth + 1)
    if isinstance(node, ast.BoolOp):
        values = [evaluated(module, each, frame, depth + 1) for each in node.values]
        ends = isinstance(node.op, ast.Or)
        for each in values:
            if each is UNKNOWN:
                return UNKNOWN
            if bool(each) is ends:
                return each
        return values[-1]
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        one, other = (evaluated(module, each, frame, depth + 1) for each in (node.left, node.comparators[0]))
        if one is UNKNOWN or other is UNKNOWN:
            return UNKNOWN
        operator = node.ops[0]
        if isinstance(operator, ast.Is | ast.Eq):
            return one == other
        if isinstance(operator, ast.IsNot | ast.NotEq):
            return one != other
        if isinstance(one, int | float) and isinstance(other, int | float):
            if isinstance(operator, ast.Gt):
                return one > other
            if isinstance(operator, ast.Lt):
                return one < other
        return UNKNOWN
    if isinstance(node, ast.Call):
        called = module.dotted(node.func)
        if called == "flax.linen.merge_param" and len(node.args) == 3:
            one, other = (evaluated(module, each, frame, depth + 1) for each in node.args[1:])
            return one if other is None else other if one is None else UNKNOWN
        if called == "builtins.bool" and len(node.args) == 1:
            value = evaluated(module, node.args[0], frame, depth + 1)
            return UNKNOWN if value is UNKNOWN else bool(value)
    return UNKNOWN


# What a call of a module needs.


def needs(module: Module, one: Made, call: ast.Call, skip: int, frame: Frame, depth: int = 0) -> frozenset[str]:
    """Returns what calling a module needs for certain: `rng dropout` for keys of a stream, `batch_stats` to be mutable.

    Args:
      module: the file.
      one: the module that is called.
      call: the call.
      skip: how many of its first arguments are not the module's own: 1 of `apply`, which has the variables.
      frame: where the call stands.
      depth: of calls in calls.
    """
    if depth > DEPTH:
        return frozenset()
    if isinstance(one.kind, str):
        return _layer_needs(module, one, call, skip, frame)
    fields = _fields(module, one)
    method = module.method(one.kind, "__call__")
    if method is None:
        return frozenset()
    inner = Frame(method, _given(module, method, call, skip, frame, own=1), fields, one.kind)
    return _body_needs(module, inner, depth + 1)


def _fields(module: Module, one: Made) -> dict[str, Any]:
    assert isinstance(one.kind, ast.ClassDef)
    frame = one.within or Frame(None)
    found: dict[str, Any] = {}
    for name, default in field_names(module, one.kind).items():
        if name in one.fields:
            found[name] = evaluated(module, one.fields[name], frame)
        else:
            found[name] = UNKNOWN if one.hidden else evaluated(module, default, Frame(None))
    return found


def _given(module: Module, function: Function, call: ast.Call, skip: int, frame: Frame, own: int) -> dict[str, Any]:
    """Returns the values of a function's parameters, at a call."""
    arguments = function.args
    by_place = [*arguments.posonlyargs, *arguments.args]
    found: dict[str, Any] = {}
    hidden = has_stars(call)
    defaults = dict(zip([each.arg for each in by_place[::-1]], arguments.defaults[::-1], strict=False))
    defaults |= {
        each.arg: value for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value
    }
    for name, value in defaults.items():
        found[name] = UNKNOWN if hidden else evaluated(module, value, Frame(None))
    for each, value in zip(by_place[own:], call.args[skip:], strict=False):
        if isinstance(value, ast.Starred):
            break
        found[each.arg] = evaluated(module, value, frame)
    for each in call.keywords:
        if each.arg:
            found[each.arg] = evaluated(module, each.value, frame)
    return found


def _layer_needs(module: Module, one: Made, call: ast.Call, skip: int, frame: Frame) -> frozenset[str]:
    within = one.within or frame

    def of(name: str, place: int | None) -> Any:
        given = argument(call, None if place is None else place + skip, name)
        value = UNKNOWN if given is None else evaluated(module, given, frame)
        if given is None or value is None:
            return evaluated(module, one.fields[name], within) if name in one.fields else UNKNOWN
        return value

    if one.kind == "flax.linen.Dropout":
        rate = evaluated(module, one.fields.get("rate"), within)
        given = argument(call, skip + 2, "rng")
        if of("deterministic", 1) is False and (rate is UNKNOWN or rate) and given is None:
            stream = evaluated(module, one.fields.get("rng_collection", ast.Constant("dropout")), within)
            return frozenset({f"rng {stream}"}) if isinstance(stream, str) else frozenset()
    elif one.kind == "flax.linen.BatchNorm":
        if of("use_running_average", 1) is False:
            return frozenset({"batch_stats"})
    elif one.kind in ATTENTION:
        rate = evaluated(module, one.fields.get("dropout_rate"), within)
        if of("deterministic", None) is False and rate is not UNKNOWN and rate:
            return frozenset({"rng dropout"})
    return frozenset()


def _body_needs(module: Module, frame: Frame, depth: int) -> frozenset[str]:
    """Returns what the calls in a function need that are reached for certain."""
    function = frame.function
    assert function is not None
    found: frozenset[str] = frozenset()
    for each in _calls(module, function):
        if not _is_reached(module, each, frame):
            continue
        for one in _called_modules(module, each.func, frame):
            found |= needs(module, one, each, 0, frame, depth + 1)
        if isinstance(each.func, ast.Attribute) and each.func.attr == "make_rng" and frame.owner is not None:
            stream = argument(each, 0, "name")
            if isinstance(each.func.value, ast.Name) and each.func.value.id == "self":
                found |= {f"rng {stream.value}"} if isinstance(stream, ast.Constant) else set()
        elif isinstance(each.func, ast.Attribute | ast.Name):
            found |= _function_needs(module, each, frame, depth)
        kind = layer_class(module, each.func)
        if kind is not None and kind[0] == "flax.linen.Dropout" and _is_handed_on(module, each):
            one = _made_by(module, each, kind, frame)
            found |= needs(module, one, ast.Call(func=each, args=[], keywords=[]), 0, frame, depth + 1)
    return found


def _is_handed_on(module: Module, node: ast.Call) -> bool:
    """Returns whether a layer is made as an argument or element, and not for a name whose calls say how."""
    parent = module.parents.get(node)
    if not isinstance(parent, ast.List | ast.Tuple | ast.Call) or (
        isinstance(parent, ast.Call) and parent.func is node
    ):
        return False
    return not isinstance(module.statement(node), ast.Assign) or any(
        isinstance(each, ast.Call) for each in module.around(node)
    )


def _calls(module: Module, function: Function) -> list[ast.Call]:
    known: dict[Function, list[ast.Call]] = module.shared("calls of functions", lambda _: {})
    if function not in known:
        bodies = [function.body] if isinstance(function, ast.Lambda) else function.body
        known[function] = [
            each for one in bodies for each in inner_nodes(one) if isinstance(each, ast.Call)
        ]  # fmt: skip
    return known[function]


def _is_reached(module: Module, node: ast.AST, frame: Frame) -> bool:
    """Returns whether the branches in which a node stands are taken for certain, and no `return` comes before."""
    child: ast.AST = node
    for each in module.around(node):
        if each is frame.function:
            return True
        if isinstance(each, ast.If | ast.IfExp) and child is not each.test:
            body = each.body if isinstance(each.body, list) else [each.body]
            test = evaluated(module, each.test, frame)
            if test is UNKNOWN or bool(test) is not any(child is one for one in body):
                return False
        elif isinstance(each, ast.Match | ast.ExceptHandler | ast.Lambda):
            return False
        for block in (getattr(each, "body", None), getattr(each, "orelse", None)):
            if isinstance(block, list) and child in block and not _goes_on(module, block[: block.index(child)], frame):
                return False
        child = each
    return True


def _goes_on(module: Module, before: list[ast.stmt], frame: Frame) -> bool:
    for each in before:
        if isinstance(each, ast.If) and isinstance(each.body[-1], ast.Return | ast.Raise):
            test = evaluated(module, each.test, frame)
            if test is UNKNOWN or test:
                return False
    return True


def _called_modules(module: Module, node: ast.expr, frame: Frame) -> Iterator[Made]:
    """Yields the modules that a called expression may be: one, or the elements of the list that a loop goes through."""
    if isinstance(node, ast.Name):
        binding = module.binding(node)
        if binding is not None and binding.kind == "loop" and binding.value is not None:
            yield from _elements(module, binding.value, frame)
            return
    if isinstance(node, ast.Subscript):
        yield from _elements(module, node.value, frame)
        return
    one = made(module, node, frame)
    if one is not None:
        if one.within is None or one.within is not frame or isinstance(node, ast.Attribute):
            one.within = Frame(None, {}, frame.fields, frame.owner) if isinstance(node, ast.Attribute) else one.within
        yield one


def _elements(module: Module, node: ast.expr, frame: Frame) -> Iterator[Made]:
    node = certain(module, node)
    if isinstance(node, ast.Call) and module.dotted(node.func) in ("builtins.enumerate", "builtins.zip"):
        for each in node.args:
            yield from _elements(module, each, frame)
        return
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        values = class_values(module, frame.owner, node.attr) if frame.owner is not None else []
        if len(values) != 1:
            return
        node = values[0]
        frame = Frame(None, {}, frame.fields, frame.owner)
    inner = (
        [node.elt] if isinstance(node, ast.ListComp) else node.elts if isinstance(node, ast.List | ast.Tuple) else []
    )
    for each in inner:
        one = made(module, each, frame)
        if one is not None:
            yield one


def _function_needs(module: Module, call: ast.Call, frame: Frame, depth: int) -> frozenset[str]:
    """Returns what a call of a method of the same module, or of a function of the file, needs."""
    if depth > DEPTH:
        return frozenset()
    func = call.func
    function = None
    own = 0
    if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "self":
        function = module.method(frame.owner, func.attr) if frame.owner is not None else None
        own = 1
    elif isinstance(func, ast.Name):
        function = module.definition(func)
    if not isinstance(function, FUNCTIONS) or function is frame.function:
        return frozenset()
    inner = Frame(function, _given(module, function, call, 0, frame, own), frame.fields, frame.owner)
    return _body_needs(module, inner, depth + 1)


# Calls of `apply`.


def is_apply(module: Module, call: ast.Call) -> bool:
    """Returns whether a call applies a model, by its name: `model.apply(...)`, `state.apply_fn(...)`."""
    func = call.func
    if isinstance(func, ast.Name):
        if func.id.lstrip("_") in ("apply", "apply_fn", "model_apply", "apply_model"):
            return True
        func = _apply_named(module, func)
    return isinstance(func, ast.Attribute) and func.attr.lstrip("_") in ("apply", "apply_fn")


def _apply_named(module: Module, name: ast.Name) -> ast.expr:
    """Returns the `model.apply` that a name stands for, through `jit` and `partial`."""
    node: ast.expr = certain(module, name)
    while isinstance(node, ast.Call) and node.args and module.dotted(node.func) in ("jax.jit", "equinox.filter_jit"):
        inner = certain(module, node.args[0])
        if inner is node:
            break
        node = inner
    return node


def applied(module: Module, call: ast.Call) -> Made | None:
    """Returns the model that a call of `apply` or `apply_fn` applies, where the file makes it."""
    func = call.func
    if isinstance(func, ast.Name):
        func = _apply_named(module, func)
    if not isinstance(func, ast.Attribute):
        return None
    if func.attr == "apply":
        one = made(module, func.value)
    elif func.attr == "apply_fn":
        given = module.shared("apply_fn", _train_state_apply)
        one = made(module, given.value) if isinstance(given, ast.Attribute) else None
    else:
        return None
    return one if one is not None and isinstance(one.kind, ast.ClassDef) else None


def _train_state_apply(module: Module) -> ast.expr | None:
    """Returns the `model.apply` that the train states of the file are made with; None where they differ."""
    found = [
        each.value
        for call in module.nodes(ast.Call)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "create"
        for each in call.keywords
        if each.arg == "apply_fn"
    ]
    if not found or any(not is_same(found[0], each) for each in found[1:]):
        return None
    return found[0] if isinstance(found[0], ast.Attribute) and found[0].attr == "apply" else None


def mode_given(call: ast.Call) -> tuple[str, ast.keyword] | None:
    """Returns `train` or `eval` where a keyword of a call says so by a literal, with that keyword."""
    for each in call.keywords:
        if isinstance(each.value, ast.Constant) and isinstance(each.value.value, bool):
            if each.arg in TRAIN:
                return ("train" if each.value.value else "eval"), each
            if each.arg in ("deterministic", "use_running_average", "eval_mode", "inference", "is_eval", "eval"):
                return ("eval" if each.value.value else "train"), each
    return None


def collections_given(module: Module, node: ast.expr | None) -> set[str] | None:
    """Returns the names of the collections of a dict of variables; None where they are not all known."""
    if node is None:
        return None
    if isinstance(node, ast.Name):
        value = certain(module, node)
        given = None if value is node else collections_given(module, value)
        return None if given is None else given | _put_in(module, node)
    node = certain(module, node)
    called = (module.called(node) or "").rpartition(".")[2]
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        return collections_given(module, node.args[0]) if called in ("FrozenDict", "freeze", "dict") else None
    if isinstance(node, ast.Call) and module.dotted(node.func) == "builtins.dict" and not node.args:
        return {each.arg for each in node.keywords if each.arg}
    if isinstance(node, ast.Dict):
        found: set[str] = set()
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                found |= collections_given(module, value) or set()
            elif isinstance(key, ast.Constant) and isinstance(key.value, str):
                found.add(key.value)
        return found
    return None


def _put_in(module: Module, name: ast.Name) -> set[str]:
    """Returns the collections that `name["params"] = ...` puts into a dict on every way to where its name is read."""
    binding = module.binding(name)
    return {
        each.slice.value
        for each in module.nodes(ast.Subscript)
        if isinstance(each.ctx, ast.Store) and isinstance(each.value, ast.Name) and each.value.id == name.id
        and isinstance(each.slice, ast.Constant) and isinstance(each.slice.value, str)
        and module.binding(each.value) is binding and each.lineno < name.lineno and leads_to(module, each, name)
    }  # fmt: skip


def mutable_given(module: Module, call: ast.Call) -> set[str] | bool | None:
    """Returns the collections that `mutable` of a call names, a bool where it is one, None where it is not known."""
    given = argument(call, None, "mutable")
    if given is None:
        return None if has_stars(call) else False
    node = certain(module, given)
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, bool) else {node.value} if isinstance(node.value, str) else None
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        names = [each.value if isinstance(each, ast.Constant) else None for each in node.elts]
        return {each for each in names if isinstance(each, str)} if all(isinstance(n, str) for n in names) else None
    return None


EVALUATING = {
    "eval", "evaluate", "evaluation", "validate", "validation", "valid", "val", "predict", "prediction", "infer",
    "inference",
}  # fmt: skip
NOT_EVALUATING = {
    "train", "training", "fit", "mc", "dropout", "montecarlo", "monte", "uncertainty", "bayes", "bayesian",
    "stochastic", "ensemble", "epistemic", "sample", "samples", "variance", "update", "finetune", "adapt", "grad",
    "grads", "gradient", "calibrate", "recalibrate", "stats", "bn", "posterior", "shape", "shapes", "spec", "specs",
}  # fmt: skip


def is_evaluating(module: Module, node: ast.AST) -> bool:
    """Returns whether a node stands in a function whose name says that it evaluates: `eval_step`, `predict`."""
    for each in module.functions(node):
        if isinstance(each, ast.Lambda):
            continue
        parts = words(each.name)
        if NOT_EVALUATING & set(parts):
            return False
        if EVALUATING & set(parts) or parts[:2] in (["test", "step"], ["test", "epoch"]):
            return not is_test(module, node)
        if parts[:1] == ["test"]:
            return False
    return False
