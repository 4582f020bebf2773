"""Published results under their own protocol: the files of examples/published, held against what their sources say.

    python benchmarks/published.py [--only P1,P5] [--data DIR] [--long] [--json OUT]

Prints a row for each number: published, ours with its 95 % interval (Student's t over seeds or splits; of a single run
that over the test examples), the band in which it is accepted, and whether it is. Ends with 1 unless all are. The
targets that take minutes run by default; `--long` adds P4 and the strict form of P5, in which dropout and precision are
chosen on validation rows as in the source.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import verax as vx

FOLDER = Path(__file__).parents[1] / "examples" / "published"


@dataclass(frozen=True)
class Band:
    """A measured quantity, what was published of it, and between which numbers ours is accepted, ends included.

    Attributes:
      metric: its name in what `measure` returns.
      title: for the table.
      published: the source's number.
      at_least: where the band begins.
      at_most: where it ends.
      every: whether each seed must lie inside; else their mean.
    """

    metric: str
    title: str
    published: float | str
    at_least: float = -math.inf
    at_most: float = math.inf
    every: bool = False

    def __str__(self) -> str:
        ends = [f"≥ {self.at_least:.4g}"] * (self.at_least > -math.inf) + [f"≤ {self.at_most:.4g}"] * (
            self.at_most < math.inf
        )
        return " and ".join(ends) + (", every seed" if self.every else "")


@dataclass(frozen=True)
class Target:
    """One published result.

    Attributes:
      name: P1 to P10.
      title: for the table.
      file: in examples/published, without its ending.
      bands: what is judged.
      protocol: how it is run, and how that differs from the source.
      arguments: of the file's `measure`.
      is_long: whether it waits for `--long`.
    """

    name: str
    title: str
    file: str
    bands: tuple[Band, ...]
    protocol: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    is_long: bool = False


def _uci(name: str, rmse: tuple[float, float], log_likelihood: tuple[float, float], is_long: bool) -> Target:
    """Returns P5 on one data set: the mean over the 20 splits within two published standard errors, or better."""
    bands = (
        Band("rmse", "RMSE", rmse[0], at_most=rmse[0] + 2 * rmse[1]),
        Band("log_likelihood", "log-likelihood", log_likelihood[0], at_least=log_likelihood[0] - 2 * log_likelihood[1]),
    )
    setting = (
        "strict: dropout and tau chosen for each split on the last 20 % of its training rows out of 12 pairs, then "
        "trained anew on all of them, as in the source"
        if is_long
        else "dropout and tau are the author's logged ones (those chosen for most splits), the same for all splits"
    )
    protocol = f"the author's 20 stored splits as lanes of one program, 4,000 epochs, 10,000 passes; {setting}"
    title = f"MC dropout, UCI {name}, {'strict' if is_long else 'logged setting'}"
    return Target("P5", title, "uci_dropout", bands, protocol, {"name": name, "long": is_long}, is_long)


_UCI = {  # mean and standard error over the splits, log_100_xepochs_1_hidden_layers.txt of the author's repository
    "concrete": ((4.826, 0.161), (-2.937, 0.025)),
    "energy": ((0.539, 0.0135), (-1.212, 0.0053)),
    "yacht": ((0.666, 0.049), (-1.250, 0.0153)),
}

# Bands were set before Verax was run, and are not moved. Published are single runs but for P2, P5 and P10: a run on
# 10,000 images is known to 0.1 to 0.3 points (one standard error is 0.13 at 98.4 %, 0.34 at 87 %).
TARGETS = (
    Target(
        "P1",
        "Keras MNIST MLP 512-512",
        "keras_mnist_mlp",
        (Band("accuracy", "test accuracy", 0.9840, at_least=0.982),),
        "20 epochs on all 60,000 images, accuracy of the last epoch, mean of 3 seeds (source: one run)",
    ),
    Target(
        "P2",
        "Fashion-MNIST MLP relu [100]",
        "fashion_mlp",
        (Band("accuracy", "test accuracy", 0.871, at_least=0.866),),
        "standardised pixels, scikit-learn's defaults of 2017 and its rule to stop, mean of 5 seeds (source: 5 runs)",
    ),
    Target(
        "P3",
        "Equinox MNIST CNN, 300 steps",
        "equinox_mnist",
        (Band("accuracy", "test accuracy", 0.904, at_least=0.885),),
        "300 batches of 64, mean of 3 seeds (source: one run)",
    ),
    Target(
        "P4",
        "keras.io MNIST convnet, 34,826 parameters",
        "keras_mnist_convnet",
        (
            Band("accuracy", "test accuracy", 0.9922, at_least=0.990),
            Band("first_validation", "validation accuracy after epoch 1", 0.9780, at_least=0.97),
        ),
        "15 epochs on 54,000 images, one run (source: one run)",
        is_long=True,
    ),
    *(_uci(name, *numbers, is_long=False) for name, numbers in _UCI.items()),
    *(_uci(name, *numbers, is_long=True) for name, numbers in _UCI.items()),
    Target(
        "P6",
        "nanoGPT on a CPU, Tiny Shakespeare",
        "nanogpt_shakespeare",
        (Band("loss", "loss held out, nats a character", 1.88, at_most=1.95),),
        "2,000 steps of 12 windows drawn without replacement (source: with it); loss of the whole last tenth of the "
        "text in windows of 64 (source: of 20 random batches); one run",
    ),
    Target(
        "P7",
        "temperature scaling (Guo et al.)",
        "temperature_scaling",
        (
            Band("ece_ratio", "ECE after / before", 1 / 3, at_most=1 / 3, every=True),
            Band("ece_after", "ECE after", 0.0093, at_most=0.025, every=True),
            Band("temperature", "temperature", 1.0, at_least=1.0, every=True),
            Band("answers_changed", "answers changed", 0.0, at_least=0.0, at_most=0.0, every=True),
        ),
        "the claims on another network: Fashion-MNIST perceptron trained for 50 epochs on 55,000 images, temperature "
        "fitted on 5,000, 15 bins, 3 seeds (source: LeNet 5 and others on CIFAR-10)",
    ),
    # P8 to P10 had bands that nobody had tried; they are kept as they were. P9 and P10 were measured once, P8 twice:
    # its first run (0.9907) had a fifth of the training rows carved off by mistake. It was then 0.9909 (0.9879 to
    # 0.9933, one run), four standard errors above 0.985: a band that the noise of one run does not leave, and that a
    # network whose frozen half does not fit the other would.
    Target(
        "P8",
        "Keras transfer, digits 0-4 to 5-9",
        "keras_mnist_transfer",
        (
            Band("accuracy_5_9", "test accuracy on 5-9", 0.992, at_least=0.985),
            Band("frozen_changed", "frozen numbers changed", 0.0, at_least=0.0, at_most=0.0, every=True),
        ),
        "the source's convolutional network, 5 epochs on 0-4, then 5 on 5-9 with the convolutions frozen; one seed "
        "(source: one run)",
    ),
    # P9 was 0.8521 (0.8506 to 0.8536, three seeds): 0.845 lies between C4.5 (0.8446) and NBTree (0.8590) of the
    # published list, and two standard errors of 15,060 rows below the measurement.
    Target(
        "P9",
        "Adult without unknowns",
        "adult_mlp",
        (Band("accuracy", "test accuracy", 0.852, at_least=0.845),),
        "original split, 30,162 and 15,060 rows; a perceptron of our own, mean of 3 seeds (source: a tuned perceptron "
        "on the test file with its unknowns; C4.5 has 0.8446 and NBTree 0.8590 without)",
    ),
    # P10 was 0.5196 (0.5085 to 0.5308, three seeds): just inside. Kept, although a split of one's own moves it by about
    # 0.01 either way: a wider band would be fitted to what was measured.
    Target(
        "P10",
        "California housing, tuned MLP",
        "california_mlp",
        (Band("rmse", "test RMSE", 0.4985, at_most=0.52),),
        "the source's network and optimizer, inputs by quantiles to a normal distribution, a 64/16/20 split of our "
        "own, mean of 3 seeds (source: another split of that kind, 15 seeds)",
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    if options.data:
        os.environ["VERAX_DATA"] = options.data
    chosen = select(options.only, options.long)
    print("| target | published | ours | 95 % interval | accepted if | accepted | seconds |")
    print("|---|---:|---:|---|---|---|---:|", flush=True)
    rows: list[dict[str, Any]] = []
    for target in chosen:
        print(f"{target.name} {target.title} ...", file=sys.stderr, flush=True)
        for band, row in zip(target.bands, run(target), strict=True):
            print(table_row(band, row), flush=True)
            rows.append(row)
    missed = [row["target"] for row in rows if not row["accepted"]]
    print(
        f"\n{len(rows) - len(missed)} of {len(rows)} accepted" + "".join(f"\n- not accepted: {each}" for each in missed)
    )
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1, allow_nan=False) + "\n")
    return 1 if missed or not rows else 0


def select(names: Sequence[str] | None, long: bool) -> list[Target]:
    """Returns the targets of these names, None for all; without `long` those that take minutes, or were asked for."""
    short = {each.name for each in TARGETS if not each.is_long}
    return [
        each
        for each in TARGETS
        if (names is None or each.name in names)
        and (long or not each.is_long or (names is not None and each.name not in short))
    ]


def run(target: Target) -> list[dict[str, Any]]:
    """Returns the rows of a target, measured now; where its data are missing, rows that say so and are not accepted."""
    started = time.perf_counter()
    try:
        measured = load(target.file).measure(**target.arguments)
    except (vx.InputError, OSError) as error:
        reason = str(error).splitlines()[0]
        return [{**row_of(target, band, []), "not_run": reason} for band in target.bands]
    spent = {"seconds": round(time.perf_counter() - started, 1), "load": round(os.getloadavg()[0], 1)}
    return [row_of(target, band, measured[band.metric]) | spent for band in target.bands]


def load(file: str) -> ModuleType:
    """Returns a file of examples/published as a module."""
    spec = importlib.util.spec_from_file_location(file, FOLDER / f"{file}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[file] = module
    spec.loader.exec_module(module)
    return module


def row_of(target: Target, band: Band, measured: Any) -> dict[str, Any]:
    """Returns the row of one quantity.

    Args:
      target: whose it is.
      band: what is judged.
      measured: a number a seed or split; or numbers with an interval of their own (`vx.Estimate`), of a single run.
    """
    values, own = _values(measured)
    value, low, high = interval(values) if own is None else own
    return {
        "target": f"{target.name} {target.title}: {band.title}",
        "published": band.published,
        "ours": _finite(value),
        "low": _finite(low),
        "high": _finite(high),
        "accepted": is_accepted(band, values),
        "protocol": target.protocol,
    }


def is_accepted(band: Band, values: Sequence[float]) -> bool:
    """Returns whether values lie in a band: their mean, or each; no value, or one that is not finite, does not."""
    judged = list(values) if band.every else [float(np.mean(values))] if len(values) else []
    return bool(judged) and all(band.at_least <= each <= band.at_most and math.isfinite(each) for each in judged)


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Returns the mean of one number a seed or split, and the ends of Student's 95 % interval."""
    from scipy.special import stdtrit

    if not len(values):
        return math.nan, math.nan, math.nan
    mean, count = float(np.mean(values)), len(values)
    if count == 1:
        return mean, math.nan, math.nan
    half = float(stdtrit(count - 1, 0.975)) * float(np.std(values, ddof=1)) / math.sqrt(count)
    return mean, mean - half, mean + half


def _values(measured: Any) -> tuple[list[float], vx.Estimate | None]:
    """Returns one number a seed, and of a single run its own interval where it has one."""
    each = (
        list(measured) if isinstance(measured, list | tuple) and not isinstance(measured, vx.Estimate) else [measured]
    )
    values = [float(one.value if isinstance(one, vx.Estimate) else one) for one in each]
    return values, each[0] if len(each) == 1 and isinstance(each[0], vx.Estimate) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def table_row(band: Band, row: Mapping[str, Any]) -> str:
    """Returns a row of the Markdown table."""
    published = row["published"] if isinstance(row["published"], str) else f"{row['published']:.4g}"
    if "not_run" in row:
        return f"| {row['target']} | {published} | | | {band} | not run: {row['not_run']} | |"
    ours = "not finite" if row["ours"] is None else f"{row['ours']:.4f}"
    ends = "" if row["low"] is None else f"{row['low']:.4f} to {row['high']:.4f}"
    verdict = "yes" if row["accepted"] else "**NO**"
    return f"| {row['target']} | {published} | {ours} | {ends} | {band} | {verdict} | {row['seconds']:.0f} |"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = list(dict.fromkeys(each.name for each in TARGETS))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=_names(names), help=f"of {','.join(names)} (default: all)")
    parser.add_argument("--data", metavar="DIR", help="folder with the data sets (default: that of VERAX_DATA)")
    parser.add_argument("--long", action="store_true", help="also those that take longer: P4 and the strict P5")
    parser.add_argument("--json", metavar="OUT", help="write the rows to a file")
    return parser.parse_args(arguments)


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"must be of {', '.join(known)}, got {', '.join(unknown)}.")
        return names

    return parse


if __name__ == "__main__":
    sys.exit(main())
