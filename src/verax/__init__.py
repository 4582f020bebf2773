"""Verax trains, checks and certifies neural networks written in JAX.

    run = vx.train(experiment, learning_rate=1e-3)
    study = vx.tune(experiment, {"learning_rate": [1e-3, 3e-3]})
    certificate = vx.certify(study.best_run, study=study)

One folder per thing you may want to do (`vx.data`, `vx.train`, `vx.debug`, ...), each usable alone on functions and
trees. A folder is loaded on first use, so `import verax` is instant and does not import JAX.
"""

from __future__ import annotations

import importlib

__version__ = "0.6.0"

_FOLDERS = (
    "network",
    "models",
    "data",
    "train",
    "evaluate",
    "debug",
    "doctor",
    "lint",
    "tune",
    "export",
    "certify",
    "report",
    "plot",
    "findings",
    "jaxpr",
    "trees",
)

_NAMES_BY_FOLDER = {
    "network": (
        "Network",
        "Variables",
        "as_network",
        "from_linen",
        "from_nnx",
        "from_haiku",
        "from_equinox",
        "call_with_kwargs",
    ),
    "data": ("Batch",),
    "train": (
        "Experiment",
        "EarlyStopping",
        "Objective",
        "LossValue",
        "classification",
        "binary",
        "multilabel",
        "regression",
        "language_model",
        "autoencoder",
        "objective_from_loss",
        "decay_mask",
        "decay_table",
        "clip_by_global_norm",
        "monitor",
        "read_monitor",
        "find_learning_rate",
        "TrainState",
        "Run",
        "Runs",
        "History",
    ),
    "evaluate": ("Estimate", "calibration"),
    "debug": (
        "numerical_gradient",
        "check_gradients",
        "assert_gradients",
        "gradient_health",
        "find_nonfinite",
        "overfit_batch",
        "assert_no_key_reuse",
        "assert_pure",
        "explain_recompilation",
        "assert_max_traces",
        "describe",
        "show",
        "profile",
    ),
    "doctor": ("check", "diagnose", "Diagnosis", "TrainingProgram"),
    "tune": ("uniform", "log_uniform", "int_uniform", "Halving"),
    "certify": ("Evidence", "Certificate"),
    "findings": ("Finding", "InputError"),
}

_FOLDER_OF = {name: folder for folder, names in _NAMES_BY_FOLDER.items() for name in names}

# Type checkers and editors read __init__.pyi, which `make stub` writes from these tables.
__all__ = ["__version__", *_FOLDERS, *_FOLDER_OF]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name in _FOLDERS:
        return importlib.import_module(f"verax.{name}")
    if name in _FOLDER_OF:
        value = getattr(importlib.import_module(f"verax.{_FOLDER_OF[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'verax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
