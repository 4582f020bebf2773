"""Which Linen modules a file makes, with which values of their fields."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from verax.lint._module import Module, has_stars
from verax.lint._reaching import PARTIAL, attribute_values, certain, is_plain, returned
from verax.lint._scopes import FUNCTIONS, Function

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
PLACES = {
    "flax.linen.Dropout": ["rate", "broadcast_dims", "deterministic", "rng_collection"],
    "flax.linen.BatchNorm": ["use_running_average", "axis", "momentum", "epsilon"],
}
DEPTH = 8


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
                    return made_by(module, inner, kind, Frame(function))
        return None
    return made_by(module, node, kind, frame)


def made_by(
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
