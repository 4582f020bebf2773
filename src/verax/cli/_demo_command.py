"""`verax demo`: digits from data to a certificate, with no input and no network."""

from __future__ import annotations

import json as json_format
import math
import shutil
import time
from pathlib import Path

from verax.cli._certify import certify_run
from verax.cli._progress import numbers
from verax.cli._runs import new_folder, on_disk, write_run
from verax.cli._say import say, seconds_text
from verax.cli._train import last_values
from verax.cli._trials import watch_study


def demo(*, out: Path | None = None) -> int:
    """Tunes, trains and certifies a small network on 1,797 handwritten digits, and writes its report.

    It needs no input and no network, and takes about half a minute. The result is an ordinary run folder.

    Args:
      out: the folder to write; runs/demo-DATE-TIME if not given. An earlier demo there is replaced.
    """
    clock = time.perf_counter()
    if out is not None and _is_demo(out):
        shutil.rmtree(out)
    folder = new_folder(out, "demo")
    from verax.cli import _demo
    from verax.tune import events
    from verax.tune._study import setting_text

    say(f"1. tune: {' and '.join(_demo.SPACE)} of a small convolutional network, chosen on validation images")
    try:
        steps = events(_demo.experiment, _demo.SPACE, retrain=_demo.RETRAIN)
        total = math.prod(map(len, _demo.SPACE.values()))
        study = watch_study(steps, total, "validation/loss", last="2. train: the winner, anew with a fresh seed")
        run, chosen = study.best_run, setting_text(study.best.hyperparameters)
        say(f"{chosen}: {numbers(last_values(run.history))}")
        write_run(folder, _demo.experiment, run, study)
        say("3. certify: ten items, each measured")
        certificate = certify_run(folder, run, study)
    except KeyboardInterrupt:
        say(f"Stopped before the end. {on_disk(folder)}", to_stderr=True)
        raise
    say(f"done in {seconds_text(time.perf_counter() - clock)}; to see more: verax show {folder}")
    return int(certificate.verdict != "passed")


def _is_demo(folder: Path) -> bool:
    """Returns whether a folder is the run of an earlier demo."""
    try:
        content = json_format.loads((folder / "experiment.json").read_text(encoding="utf-8"))
        return Path(content["source_path"]).parts[-3:] == ("verax", "cli", "_demo.py")
    except (OSError, ValueError, KeyError, TypeError):
        return False
