"""Training and evaluation: how a call, and the name of a function, says which of them is meant."""

from __future__ import annotations

import ast

from verax.lint._module import Module
from verax.lint._reaching import is_test, words

TRAIN = {
    "train", "training", "is_training", "is_train", "train_mode", "training_mode", "in_training", "istraining",
    "do_train", "do_training",
}  # fmt: skip
EVAL = {
    "deterministic", "eval", "eval_mode", "evaluate", "evaluation", "inference", "is_eval", "is_inference", "testing",
    "is_test", "is_testing", "is_evaluation", "use_running_average", "use_running_avg", "inference_mode",
    "is_eval_mode", "is_deterministic", "evaluating", "is_evaluating",
}  # fmt: skip
EVALUATING = {
    "eval", "evaluate", "evaluation", "validate", "validation", "valid", "val", "predict", "prediction", "infer",
    "inference",
}  # fmt: skip
NOT_EVALUATING = {
    "train", "training", "fit", "mc", "dropout", "montecarlo", "monte", "uncertainty", "bayes", "bayesian",
    "stochastic", "ensemble", "epistemic", "sample", "samples", "variance", "update", "finetune", "adapt", "grad",
    "grads", "gradient", "calibrate", "recalibrate", "stats", "bn", "posterior", "shape", "shapes", "spec", "specs",
}  # fmt: skip


def mode_given(call: ast.Call) -> tuple[str, ast.keyword] | None:
    """Returns `train` or `eval` where a keyword of a call says so by a literal, with that keyword."""
    for each in call.keywords:
        if isinstance(each.value, ast.Constant) and isinstance(each.value.value, bool):
            if each.arg in TRAIN:
                return ("train" if each.value.value else "eval"), each
            if each.arg in ("deterministic", "use_running_average", "eval_mode", "inference", "is_eval", "eval"):
                return ("eval" if each.value.value else "train"), each
    return None


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
