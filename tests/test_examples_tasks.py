"""The examples of tasks run, and reach what they promise."""

import importlib.util
from pathlib import Path

import jax
import pytest

FOLDER = Path(__file__).parents[1] / "examples" / "tasks"
PROMISES = {  # lowest and highest of each number; the examples name the middle
    "inputs_as_a_tree": {"accuracy": (0.9, 1.0)},
    "auxiliary_outputs": {"accuracy": (0.9, 1.0), "r2": (0.8, 1.0)},
    "contrastive": {"nearest": (0.88, 1.0)},
    "autoencoder": {"rmse": (0.0, 0.2), "rmse_of_mean": (0.25, 0.3)},
    "multilabel": {"average_precision": (0.95, 1.0), "micro_f1": (0.88, 1.0)},
    "heteroscedastic": {"coverage_90": (0.85, 0.94), "low": (3, 13), "high": (33, 55)},
}


@pytest.mark.parametrize("name", PROMISES)
def test_an_example_reaches_what_it_promises(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):  # as a reader's JAX has them
        found = module.main()
    for number, (low, high) in PROMISES[name].items():
        assert low <= found[number] <= high, f"{number}: {found[number]}"


def test_every_example_is_run():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(PROMISES)
