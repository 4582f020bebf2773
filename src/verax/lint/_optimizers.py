"""What an Optax optimiser of a file is made of, and what its `update` needs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from verax.lint._module import Module, argument
from verax.lint._reaching import PARTIAL, attribute_values, certain, is_plain, returned
from verax.lint._scopes import FUNCTIONS
from verax.lint._train_states import created_with

# From running each of Optax 0.2.8 without `params`: these raise.
NEED_PARAMS = {
    *(f"optax.{name}" for name in (
        "adadelta", "adafactor", "adamaxw", "adamw", "adan", "adaptive_grad_clip", "add_decayed_weights", "fromage",
        "keep_params_nonnegative", "lamb", "lars", "lion", "nadamw", "novograd", "scale_by_distance_over_gradients",
        "scale_by_factored_rms", "scale_by_lbfgs", "scale_by_novograd", "scale_by_param_block_norm",
        "scale_by_param_block_rms", "scale_by_trust_ratio", "lbfgs",
    )),
    *(f"optax.contrib.{name}" for name in (
        "acprop", "ademamix", "cocob", "dadapt_adamw", "dog", "dowg", "madgrad", "muon", "prodigy", "scale_by_cocob",
        "scale_by_madgrad", "schedule_free_adamw", "schedule_free_sgd", "simplified_ademamix",
    )),
}  # fmt: skip
# Whole optimisers: their updates are scaled by the learning rate and point down.
COMPLETE = {
    *(f"optax.{name}" for name in (
        "adabelief", "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamaxw", "adamw", "adan", "amsgrad",
        "fromage", "lamb", "lars", "lbfgs", "lion", "nadam", "nadamw", "noisy_sgd", "novograd", "optimistic_adam",
        "optimistic_gradient_descent", "polyak_sgd", "radam", "rmsprop", "rprop", "sgd", "sign_sgd", "signum", "sm3",
        "yogi", "dpsgd",
    )),
    *(f"optax.contrib.{name}" for name in (
        "acprop", "ademamix", "cocob", "dadapt_adamw", "dog", "dowg", "madgrad", "muon", "prodigy",
        "schedule_free_adamw", "schedule_free_sgd", "simplified_ademamix", "adopt", "momo", "momo_adam", "sophia",
    )),
}  # fmt: skip
PLAIN_SCALING = {"optax.sgd", "optax.noisy_sgd", "optax.optimistic_gradient_descent", "optax.polyak_sgd", "optax.dpsgd"}
ADAPTIVE = (COMPLETE - PLAIN_SCALING) | {
    f"optax.{name}"
    for name in (
        "scale_by_adadelta", "scale_by_adam", "scale_by_adamax", "scale_by_adan", "scale_by_amsgrad", "scale_by_belief",
        "scale_by_factored_rms", "scale_by_lion", "scale_by_novograd", "scale_by_radam", "scale_by_rms",
        "scale_by_rprop", "scale_by_rss", "scale_by_sm3", "scale_by_stddev", "scale_by_yogi",
    )
}  # fmt: skip
STATELESS = {
    f"optax.{name}"
    for name in (
        "centralize", "clip", "clip_by_block_rms", "clip_by_global_norm", "identity", "normalize_by_update_norm",
        "scale", "scale_by_sign", "set_to_zero", "zero_nans", "add_decayed_weights", "adaptive_grad_clip",
        "scale_by_trust_ratio", "keep_params_nonnegative",
    )
}  # fmt: skip
CLIPS = {"optax.clip", "optax.clip_by_global_norm", "optax.adaptive_grad_clip"}
# Around another optimiser, which is their first argument.
WRAPPERS = {
    "optax.masked", "optax.MultiSteps", "optax.apply_if_finite", "optax.flatten", "optax.with_extra_args_support",
    "optax.maybe_update", "optax.conditionally_mask", "optax.conditionally_transform", "optax.freeze",
    "optax.selective_transform", "optax.experimental.with_extra_args_support",
}  # fmt: skip
GROUPS = ("optax.multi_transform", "optax.partition", "optax.transforms.partition")
INJECTED = ("optax.inject_hyperparams", "optax.inject_stateful_hyperparams")
UNKNOWN = "?"
DEPTH = 12


@dataclass(frozen=True)
class Part:
    """One transform of an optimiser.

    Attributes:
      name: dotted, of what makes it; `?` where nothing is known of it.
      call: the call that makes it, if there is one.
      argument: which argument of the chain asked about it comes from.
    """

    name: str
    call: ast.Call | None = None
    argument: ast.expr | None = None


def optimizer_parts(module: Module, node: ast.expr, depth: int = 0) -> list[Part] | None:
    """Returns what an optimiser is made of, in order, chains in chains laid flat; None where it is not known as one.

    Names, attributes of `self` that are assigned once, functions of the file that return one, `masked`, `MultiSteps`,
    `inject_hyperparams` and the like are looked through.
    """
    if depth > DEPTH:
        return None
    node = certain(module, node)
    if isinstance(node, ast.Attribute):
        values = attribute_values(module, node)
        if len(values) == 1 and values[0] is not node:
            return optimizer_parts(module, values[0], depth + 1)
        if node.attr in ("tx", "optimizer", "opt") and not values:
            only = module.shared("train_state_tx", _train_state_tx)
            return None if only is None or only is node else optimizer_parts(module, only, depth + 1)
        return None
    if not isinstance(node, ast.Call):
        return None
    name = module.dotted(node.func)
    if name is None:
        return _of_unnamed(module, node, depth)
    if name in ("optax.chain", "optax.named_chain"):
        found: list[Part] = []
        for given, each in chain_arguments(module, node):
            inner = None if each is None else optimizer_parts(module, each, depth + 1)
            found += [Part(one.name, one.call, given) for one in inner or [Part(UNKNOWN)]]
        return found
    if name in WRAPPERS:
        inner = argument(node, 0, "inner", "opt", "base_optimizer")
        return None if inner is None else optimizer_parts(module, inner, depth + 1)
    if name in COMPLETE or name in NEED_PARAMS or name in ADAPTIVE or name in STATELESS or name in GROUPS:
        return [Part(name, node)]
    if name.startswith("optax.") and name.rpartition(".")[2].split("_")[0] in ("scale", "add", "trace", "ema", "apply"):
        return [Part(name, node)]
    return None


def _of_unnamed(module: Module, node: ast.Call, depth: int) -> list[Part] | None:
    """Returns the parts of an optimiser made by a function of the file, by `inject_hyperparams` or by `partial`."""
    made = certain(module, node.func)
    if isinstance(made, ast.Call) and module.dotted(made.func) in (*INJECTED, *PARTIAL):
        inner = argument(made, 0, "inner_factory")
        name = None if inner is None else module.dotted(inner)
        if name in COMPLETE or name in NEED_PARAMS or name in ADAPTIVE:
            assert name is not None
            return [Part(name, node)]
        if name == "optax.chain" and module.dotted(made.func) in PARTIAL:
            return None
        function = None if inner is None else module.definition(inner)
    else:
        function = module.definition(node.func)
    if not isinstance(function, FUNCTIONS) or not is_plain(module, function):
        return None
    every = returned(module, function)
    if len(every) != 1 or every[0] is None:
        return None
    return optimizer_parts(module, every[0], depth + 1)


def chain_arguments(module: Module, call: ast.Call) -> Iterator[tuple[ast.expr, ast.expr | None]]:
    """Yields the arguments of a chain, of a star its elements, with what each stands for; None if it is not known."""
    named = module.dotted(call.func) == "optax.named_chain"
    for given in call.args:
        if isinstance(given, ast.Starred):
            every = certain(module, given.value)
            if isinstance(every, ast.Tuple | ast.List) and not _is_changed(module, given.value):
                for each in every.elts:
                    yield each, None if isinstance(each, ast.Starred) else each
            else:
                yield given, None
        elif named:
            pair = certain(module, given)
            yield given, pair.elts[1] if isinstance(pair, ast.Tuple) and len(pair.elts) == 2 else None
        else:
            yield given, given


def place_of(module: Module, call: ast.Call, part: Part) -> ast.expr:
    """Returns where a part of a chain is reported: its argument, or the chain where a star reads it from elsewhere."""
    given = part.argument
    return given if given is not None and any(each is call for each in module.around(given)) else call


def _is_changed(module: Module, node: ast.expr) -> bool:
    """Returns whether a list may have been changed after it was made: something other than a star reads its name."""
    if not isinstance(node, ast.Name):
        return False
    every = [each for each in module.nodes(ast.Name) if each.id == node.id and isinstance(each.ctx, ast.Load)]
    return any(isinstance(module.parents.get(each), ast.Attribute | ast.Subscript | ast.Call) for each in every)


def _train_state_tx(module: Module) -> ast.expr | None:
    """Returns the optimiser of the train state that is made in the file; None where there are several, or none."""
    found = created_with(module, "tx")
    return found[0] if len(found) == 1 else None


def update_of(module: Module, call: ast.Call) -> ast.expr | None:
    """Returns the optimiser whose `update` a call is: `tx` of `tx.update(...)`, through `jax.jit` and names."""
    node = call.func
    for _ in range(DEPTH):
        if isinstance(node, ast.Attribute):
            return node.value if node.attr == "update" else None
        value = certain(module, node)
        if value is node and isinstance(node, ast.Name):
            return _unpacked_update(module, node)
        if (
            isinstance(value, ast.Call)
            and value.args
            and module.dotted(value.func) in ("jax.jit", "equinox.filter_jit")
        ):
            value = value.args[0]
        if value is node:
            return None
        node = value
    return None


def _unpacked_update(module: Module, name: ast.Name) -> ast.expr | None:
    """Returns the optimiser of which a name is the second part: `init, update = optax.adamw(1e-3)`."""
    binding = module.binding(name)
    if binding is None or binding.kind != "assign" or binding.path != (1,) or len(module.bindings(name)) != 1:
        return None
    return binding.value


def needs_params(module: Module, part: Part, depth: int = 0) -> bool:
    """Returns whether `update` raises without `params`, for this part."""
    if part.name in NEED_PARAMS:
        return True
    if part.name in GROUPS and part.call is not None and depth < DEPTH:
        groups = argument(part.call, 0, "transforms")
        groups = None if groups is None else certain(module, groups)
        if isinstance(groups, ast.Dict):
            every = [optimizer_parts(module, each, depth + 1) or [] for each in groups.values]
            return any(needs_params(module, each, depth + 1) for one in every for each in one)
    return False


def is_stateless(part: Part) -> bool:
    """Returns whether a part has no state that moves on: plain gradient descent at one rate, clipping, decay."""
    if part.name in STATELESS:
        return True
    call = part.call
    if part.name in ("optax.sgd", "optax.sign_sgd", "optax.scale_by_learning_rate") and call is not None:
        rate = argument(call, 0, "learning_rate")
        return (
            isinstance(rate, ast.Constant)
            and len(call.args) == 1
            and all(e.arg == "learning_rate" for e in call.keywords)
        )
    return False


def sign(module: Module, part: Part) -> int:
    """Returns -1 for a part that turns the updates down the slope, as the learning rate does, 0 if unknown, else 1."""
    if part.name in COMPLETE:
        return -1
    if part.name == "optax.scale_by_learning_rate":
        flip = None if part.call is None else argument(part.call, 1, "flip_sign")
        return -1 if flip is None else 0
    if part.name == "optax.scale" and part.call is not None:
        factor = argument(part.call, 0, "step_size")
        factor = None if factor is None else certain(module, factor)
        if isinstance(factor, ast.UnaryOp) and isinstance(factor.op, ast.USub):
            return -1
        if isinstance(factor, ast.BinOp) and isinstance(factor.left, ast.UnaryOp) and isinstance(factor.op, ast.Mult):
            return -1
        return 1 if isinstance(factor, ast.Constant) else 0
    return 0 if part.name in (UNKNOWN, "optax.scale_by_schedule") else 1
