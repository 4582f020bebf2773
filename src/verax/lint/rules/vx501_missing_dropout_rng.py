"""VX501: dropout needs a key."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._model_applies import applied, is_apply
from verax.lint._model_modes import is_evaluating
from verax.lint._model_needs import needs
from verax.lint._models import Frame
from verax.lint._module import Module, argument, has_stars
from verax.lint._reaching import certain
from verax.lint._rule import Found, rule


@rule("VX501", "missing-dropout-rng", "error")
def missing_dropout_rng(module: Module) -> Iterator[Found]:
    """A Linen module with dropout is applied in training mode without `rngs`.

    `Dropout` draws its mask from the stream `dropout`; without a key for it Flax raises `InvalidRngError` as soon as
    the step is traced.

    Bad:

        logits = model.apply({"params": params}, inputs, training=True)

    Good:

        logits = model.apply({"params": params}, inputs, training=True, rngs={"dropout": dropout_key})

    Only models whose class is in the file are judged: the flag is followed from the call through submodules to the
    dropout layers; `make_rng` counts like them. What is not seen: models from other files, a rate or flag that is
    computed.
    """
    for call in module.nodes(ast.Call):
        if not is_apply(module, call) or has_stars(call) or argument(call, None, "method") is not None:
            continue
        rngs = argument(call, None, "rngs")
        if rngs is not None and not _is_empty(certain(module, rngs)):
            continue
        one = applied(module, call)
        if one is None or is_evaluating(module, call):
            continue
        needed = needs(module, one, call, 1, Frame(module.function(call)))
        streams = sorted(each.removeprefix("rng ") for each in needed if each.startswith("rng "))
        if streams:
            assert isinstance(one.kind, ast.ClassDef)
            what = "has dropout that is on in this call" if "dropout" in streams else f"draws from {streams[0]!r} here"
            message = f"{one.kind.name} {what}, and there is no key for it: Flax will raise. "
            rngs = ", ".join(f'"{each}": {each}_key' for each in streams)
            yield Found(call, f"{message}Pass rngs={{{rngs}}}.")


def _is_empty(node: ast.expr) -> bool:
    return (isinstance(node, ast.Constant) and node.value is None) or (isinstance(node, ast.Dict) and not node.keys)
