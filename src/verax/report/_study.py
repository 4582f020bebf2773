"""The report of a study: the best setting and how sure it is, all trials, what matters, what was not explored."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from verax import plot
from verax.findings import InputError
from verax.plot._save import write_whole
from verax.plot._trials import Content, complete, curve, scales
from verax.report import _study_parts as parts
from verax.report._elements import Content as Written
from verax.report._elements import tag
from verax.report._page import page
from verax.report._study_importance import importance
from verax.tune import Study, Trial
from verax.tune._task import read_setting

NEEDED = ("objective", "best", "winner", "facts", "trials")
OF_TRIAL = ("number", "hyperparameters", "value", "values", "state", "stop_reason", "seconds", "parameters", "curves")


def write_study_report(folder: str | Path, study: Any) -> Path:
    """Writes `study.html`, `study.csv` and `study.json` into a folder and returns the path of the first.

    Each file appears whole or not at all; one that would not change is left alone. Nothing of the user's is run.

    Args:
      folder: where to; made if it is not there.
      study: a `vx.tune.Study`, or the content of its study.json.

    Raises:
      InputError: if it is no study.
    """
    content, folder = _content(study), Path(folder)
    texts = {
        "study.json": json.dumps(content, indent=1, default=str),
        "study.csv": study_csv(content),
        "study.html": study_html(content, title=folder.resolve().name),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        path, data = folder / name, text.encode("utf-8", "replace")
        if not path.is_file() or path.read_bytes() != data:
            write_whole(path, data)
    return folder / "study.html"


def study_html(study: Any, *, title: str = "Study") -> str:
    """Returns a page with the best setting, all trials, what matters, what ended early and what was never explored.

    The page is one file without scripts that loads nothing, like that of a certificate. The same study gives the same
    page.

    Args:
      study: a `vx.tune.Study`, or the content of its study.json.
      title: the heading.

    Raises:
      InputError: if it is no study.
    """
    content = _content(study)
    found = importance(content)
    drawn = drawings(content, found.shares)
    return page(
        f"{title}: {parts.sentence(content)}",
        parts.header(content, title),
        parts.to_look_at(content),
        parts.best(content),
        parts.pictures(content, drawn),
        parts.hyperparameters(content, drawn, found.note),
        parts.trials(content),
        parts.ended_early(content),
        parts.unexplored(content),
        parts.time_spent(content),
        parts.how(content),
    )


def section(content: Content | None) -> Written:
    """Returns what a certificate's page shows of the study that chose the setting."""
    if content is None:
        return None
    found = importance(content)
    drawn = drawings(content, found.shares, slices=0)
    return tag(
        "section",
        tag("h2", "The study that chose the setting", id="study"),
        tag("p", parts.sentence(content), class_="note"),
        parts.tiles(content),
        parts.sentences(parts.noted(content)),
        parts.figures(content, drawn, found.note),
        tag("p", "All trials are in study.html and study.csv of the run folder.", class_="note"),
        class_="card",
        aria_labelledby="study",
    )


def drawings(content: Content, shares: Mapping[str, float], *, slices: int = parts.SLICES) -> dict[str, Any]:
    """Returns the pictures of a study by name: axes, ready for `plot.svg`."""
    if not content["trials"]:
        return {}
    drawn: dict[str, Any] = {}
    if complete(content):
        drawn["study-parallel"] = plot.parallel_coordinates(content)
    if any(_is_drawn(trial, content["objective"]) for trial in content["trials"]):
        drawn["study-curves"] = plot.trial_curves(content)
    if shares:
        drawn["study-importance"] = plot.importance_bars(shares)
    if complete(content):
        known = sorted(scales(content), key=lambda scale: -shares.get(scale.name, 0.0))
        having = [
            scale.name for scale in known if any(scale.name in one["hyperparameters"] for one in content["trials"])
        ]
        for place, name in enumerate(having[:slices]):
            drawn[f"study-slice-{place}"] = plot.trial_slice(content, name)
    return drawn


def _is_drawn(trial: Mapping[str, Any], metric: str) -> bool:
    return bool(np.isfinite(curve(trial, metric)).any())


def is_study(content: Any) -> bool:
    """Returns whether something is the content of a study.json that can be drawn."""
    if not isinstance(content, Mapping) or not all(name in content for name in NEEDED):
        return False
    trials = content["trials"]
    return isinstance(trials, list) and all(
        isinstance(trial, Mapping) and all(name in trial for name in OF_TRIAL) for trial in trials
    )


def study_csv(content: Content) -> str:
    """Returns the content of `study.csv`: a row a trial."""
    trials = tuple(map(_trial, content["trials"]))
    best = content["best"]
    return Study(trials, content["objective"], _trial(best) if best else trials[0]).to_csv()


def _content(study: Any) -> Content:
    content = study.to_json() if hasattr(study, "to_json") else study
    if is_study(content) and content["trials"]:
        return content
    raise InputError(
        f"study must be a vx.tune.Study or the content of a study.json, got {type(study).__name__} without trials, or "
        "with others than this version of Verax writes."
    )


def _trial(content: Mapping[str, Any]) -> Trial:
    value = math.nan if content["value"] is None else float(content["value"])
    return Trial(
        read_setting(content["hyperparameters"]),
        value,
        float(content["seconds"]),
        str(content["stop_reason"]),
        content["number"],
        content["state"],
        parameters=content["parameters"],
    )
