"""Calls from Python that are wrong. Each takes the folder that `files.py` fills, and must raise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import verax as vx
from tests.bad_input.experiments import experiment, sound_parts
from tests.bad_input.networks import Mismatched, Net
from tests.bad_input.wrong_data import HEIGHTS, LABELS, POINTS, source
from verax.data import from_csv, from_npz


class Call(NamedTuple):
    name: str
    call: Callable[[Path], Any]
    said: tuple[str, ...]


def weights(hidden: int = 4) -> Any:
    return Net().init(jax.random.key(0), jnp.ones((2, hidden)))["params"]


def narrower() -> Any:
    params = weights()
    return {**params, "Dense_0": {"kernel": jnp.ones((4, 2)), "scale": jnp.ones(2)}}


def evidence(**changes: Any) -> vx.Evidence:
    splits = {"train": (POINTS, LABELS), "test": (POINTS[:30], LABELS[:30])}
    sound = {"network": Net(), "objective": vx.classification(), "variables": weights(), "data": splits}
    return vx.Evidence(**{**sound, **changes})


def saved(folder: Path) -> Path:
    return folder / "npz_run" / "checkpoints" / "final"


TRAINING = (
    Call(
        "an unknown hyperparameter",
        lambda _: vx.train(experiment, hiden=8),
        ("unknown hyperparameter 'hiden'", "Did you mean 'hidden'"),
    ),
    Call(
        "a hyperparameter of a finished experiment",
        lambda _: vx.train(experiment(), hidden=8),
        ("hyperparameters hidden were given with a finished Experiment", "Pass the function"),
    ),
    Call(
        "a missing hyperparameter",
        lambda _: vx.train(lambda hidden: experiment(hidden=hidden)),
        ("the experiment needs a value for hidden",),
    ),
    Call(
        "a function that returns no experiment",
        lambda _: vx.train(lambda: {"network": Net()}),
        (r"must return a vx\.Experiment", "got dict"),
    ),
    Call(
        "a hyperparameter of another type",
        lambda _: vx.train(lambda epochs: vx.Experiment(**{**sound_parts(), "epochs": epochs}), epochs="many"),
        ("epochs must be a whole number of at least 1", "got 'many'"),
    ),
    Call(
        "a negative seed",
        lambda _: vx.train(experiment, seed=-3),
        (r"seed must be a whole number in \[0, 2\*\*32\)", "got -3"),
    ),
    Call(
        "initial weights that do not fit",
        lambda _: vx.train(experiment, initial=narrower()),
        (
            "initial weights do not fit the network",
            r"params/Dense_0/bias: expected float32\[3\], missing",
            r"params/Dense_0/kernel: expected float32\[4,3\], found float32\[4,2\]",
            r"params/Dense_0/scale: not expected, found float32\[2\]",
        ),
    ),
    Call(
        "initial weights of another precision",
        lambda _: vx.train(experiment, initial=jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), weights())),
        (r"params/Dense_0/kernel: expected float32\[4,3\], found bfloat16\[4,3\]",),
    ),
    Call(
        "a folder that is taken",
        lambda folder: vx.train(experiment, out=folder / "npz_run"),
        ("exists already and is not empty", "Choose another folder"),
    ),
    Call(
        "a network that does not fit its data",
        lambda _: vx.train(vx.Experiment(**{**sound_parts(), "network": Mismatched()})),
        (
            r"the network Mismatched fails with inputs float32\[16,4\]",
            r"networks\.py, line \d+: return x @ kernel",
            "Compare the shapes",
        ),
    ),
)

SAVED = (
    Call(
        "a state of another structure",
        lambda folder: vx.train.load_state(saved(folder), weights()),
        ("does not fit", r"Dense_0/kernel: expected float32\[4,3\], missing", "step: not expected, found int32"),
    ),
    Call(
        "a state that is not there",
        lambda folder: vx.train.load_state(folder / "gone", weights()),
        ("holds no saved state", r"manifest\.json is missing", "save_state"),
    ),
    Call(
        "a state onto another",
        lambda folder: vx.train.save_state(saved(folder), weights()),
        ("exists already", "overwrite=True"),
    ),
    Call(
        "a byte that flipped among the arrays",
        lambda folder: vx.train.load_run(folder / "flipped_arrays_run"),
        (r"is damaged: arrays/state/d/\S+ has changed since it was written", "Use another checkpoint"),
    ),
    Call(
        "a manifest of other weights",
        lambda folder: vx.train.load_run(folder / "other_digest_run"),
        (r"is damaged: manifest\.json has changed since it was written", "Use another checkpoint"),
    ),
)

DATA = (
    Call("targets alone", lambda _: vx.data.from_arrays(targets=LABELS), ("inputs must be given, got None",)),
    Call(
        "arrays twice",
        lambda _: vx.data.from_arrays(POINTS, LABELS, train=(POINTS, LABELS)),
        (r"takes inputs and targets or train=\(inputs, targets\), got both",),
    ),
    Call(
        "classes twice",
        lambda _: vx.data.from_arrays(POINTS, LABELS, classes=("a", "b", "a")),
        ("classes must be distinct", r"got \('a', 'b', 'a'\)"),
    ),
    Call(
        "one name of two arrays",
        lambda folder: from_npz(folder / "sound.npz", inputs="x"),
        ("inputs and targets are named together", "got inputs='x', targets=None"),
    ),
    Call(
        "an array that the file lacks",
        lambda folder: from_npz(folder / "sound.npz", inputs="x", targets="labels").load(),
        ("has no array 'labels'", "Known: 'x', 'y'"),
    ),
    Call(
        "a column that is named as text",
        lambda folder: from_csv(folder / "sound.csv", target="price", categorical="colour"),
        ("categorical must be 'auto' or a list", "got 'colour'", r"Pass \('colour',\)"),
    ),
    Call(
        "an unknown column as category",
        lambda folder: from_csv(folder / "sound.csv", target="price", categorical=("color",)).load(),
        ("must have a column 'color'", "Did you mean 'colour'"),
    ),
    Call(
        "a delimiter of two characters",
        lambda folder: from_csv(folder / "sound.csv", target="price", delimiter=", "),
        ("delimiter must be one character or None", "got ', '"),
    ),
    Call(
        "a wrong delimiter",
        lambda folder: from_csv(folder / "sound.csv", target="price", delimiter=";").load(),
        ("must have a column 'price'", "size,weight,colour,price"),
    ),
    Call(
        "a path that is no path", lambda _: from_csv(3, target="price"), ("path must be the path of a file, got int 3",)
    ),
    Call(
        "a negative split",
        lambda _: source().split(test=-0.1),
        (r"test must be a fraction in \[0, 1\) or a number of rows", r"got -0\.1"),
    ),
    Call(
        "fractions of more than all",
        lambda _: source().split(test=0.5, validation=0.4, calibration=0.3),
        ("the fractions must leave rows to train on", r"add up to 1\.2"),
    ),
    Call(
        "classes in each split, but no classes",
        lambda _: source(targets=HEIGHTS).split(stratify=True).load(),
        ("stratify=True needs integer classes", r"float32 of shape \(120,\)", "stratify=False"),
    ),
)

RESULTS = (
    Call(
        "a space with a single text",
        lambda _: vx.tune(experiment, {"hidden": "4"}),
        ("the space must give 'hidden' a list of values", "got '4'"),
    ),
    Call("an empty space", lambda _: vx.tune(experiment, {}), ("the space must name at least one hyperparameter",)),
    Call(
        "a name both searched and fixed",
        lambda _: vx.tune(experiment, {"hidden": [4, 8]}, hidden=4),
        ("hidden cannot be searched and held fixed",),
    ),
    Call(
        "a certificate without a test split",
        lambda _: vx.certify(evidence(data={"train": (POINTS, LABELS)})),
        ("data must have a test split to certify", "found train"),
    ),
    Call(
        "a certificate of other weights",
        lambda _: vx.certify(evidence(variables=narrower())),
        (r"params/Dense_0/kernel: expected float32\[4,3\], found float32\[4,2\]",),
    ),
    Call(
        "a certificate on labels out of range",
        lambda _: vx.certify(evidence(data={"train": (POINTS, LABELS), "test": (POINTS, LABELS + 1)})),
        (r"test row 2: label-out-of-range: labels must lie in \[0, 3\), found 3",),
    ),
    Call(
        "a certificate of a network that fails",
        lambda _: vx.certify(evidence(network=Mismatched())),
        ("the network Mismatched fails with inputs", r"got \(4,\) and \(7,\)", r"networks\.py, line \d+"),
    ),
    Call(
        "a waiver without a reason",
        lambda _: vx.certify(evidence(), waivers={"tuned": " "}),
        ("the waiver of tuned must give a written reason", "got ' '"),
    ),
    Call(
        "an unknown waiver",
        lambda _: vx.certify(evidence(), waivers={"calibration": "later"}),
        ("unknown item 'calibration' in waivers", "Did you mean 'calibrated'"),
    ),
    Call(
        "a limit of nothing",
        lambda _: vx.certify(evidence(), limits={"calibration_error": 0}),
        ("limit calibration_error must be a positive number", "got 0"),
    ),
    Call(
        "a model that is not there",
        lambda folder: vx.export.load(folder / "gone.vx"),
        ("path must be a model folder", r"nothing is at .*gone\.vx", "verax export"),
    ),
    Call(
        "a run as model",
        lambda folder: vx.export.load(folder / "npz_run"),
        (r"must be a model folder with a signature\.json", "found checkpoints"),
    ),
    Call(
        "a NaN to predict",
        lambda folder: vx.export.load(folder / "csv.vx").predict(np.full((2, 3), np.nan, np.float32)),
        ("nan|NaN|missing",),
    ),
    Call(
        "a row of the wrong length",
        lambda folder: vx.export.load(folder / "csv.vx").predict_rows([[1.0, 2.0]]),
        ("rows must be dicts by column name or have 3 values each", "got 2 values in row 0"),
    ),
    Call(
        "labels beyond the probabilities",
        lambda _: vx.calibration(np.full((4, 3), 1 / 3, np.float32), np.array([0, 1, 2, 3])),
        (r"labels must lie in \[0, 3\)", "got 3 at index 3"),
    ),
    Call(
        "probabilities that do not add up",
        lambda _: vx.calibration(np.full((4, 3), 0.5, np.float32), np.array([0, 1, 2, 0])),
        ("sum to 1|add up to 1", r"1\.5", "softmax"),
    ),
    Call(
        "scores of different lengths",
        lambda _: vx.evaluate.score("classification", np.full((4, 3), 1 / 3, np.float32), np.array([0, 1, 2])),
        ("length-mismatch", "4", "3"),
    ),
)


CALLS = (*TRAINING, *SAVED, *DATA, *RESULTS)
