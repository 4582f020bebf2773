"""What every parameter leaf did along a run: its gradient norm and the size of its updates."""

from __future__ import annotations

import numpy as np

from verax.plot._canvas import BLUE, FONT, LINE, ORANGE, SERIES, Axes, axes_or_new, ink, legend, plain_log_ticks
from verax.train import Health

LISTED = 30  # leaves that fit into a picture
COLUMNS = 80  # places in time that do
USUAL = 1e-3  # update over weight; Karpathy, CS231n notes: "somewhere around 1e-3"


def gradient_norms(health: Health, *, ax: Axes = None) -> Axes:
    """Draws the gradient norm of every leaf over time, from faint (the smallest) to strong on a logarithmic scale.

    Cells with a NaN or Inf are orange, cells whose gradient is all zero are empty. Of more than 30 leaves, those that
    were not finite are drawn and others at equal distances; the axes say so.

    Args:
      health: of a run, from `vx.train.health`.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if nothing was measured.
    """
    _check(health)
    is_bad = health.values["nan"] + health.values["inf"] > 0
    shown, columns = spread(np.asarray(is_bad.any(axis=0))), _columns(len(health.steps))
    norms = np.stack([_mean_log(health.values["norm"][group][:, shown]) for group in columns])
    bad = np.stack([is_bad[group][:, shown].any(axis=0) for group in columns])
    ax = axes_or_new(ax, height=1.1 + 0.2 * len(shown))
    ax.grid(False)
    ax.imshow(_shades(norms, bad).swapaxes(0, 1), aspect="auto", interpolation="none")
    ax.set_yticks(range(len(shown)), [ending(health.paths[place]) for place in shown], fontsize=FONT - 2)
    for label in ax.get_yticklabels():
        label.set_parse_math(False)
    ticks = np.unique(np.linspace(0, len(columns) - 1, 4).round().astype(int))
    ax.set_xticks(ticks, [f"{health.steps[columns[place]][-1]:,}" for place in ticks])
    ax.tick_params(length=0)
    known = norms[np.isfinite(norms)]
    scale = f"{np.exp(known.min()):.0e} faint to {np.exp(known.max()):.0e} strong" if known.size else "all zero"
    left_out = f", {len(shown)} of {len(health.paths)} leaves" if len(shown) < len(health.paths) else ""
    ax.set_title(f"{scale}{left_out}", loc="right", fontsize=FONT - 1, color=ink(ax))
    ax.set(xlabel="step", ylabel="parameter")
    return ax


def update_ratios(health: Health, *, ax: Axes = None) -> Axes:
    """Draws the norm of the updates over that of the weights, leaf by leaf over time; the dashed line is 0.001.

    Biases and scales are left out: of biases that begin at 0 the first updates are as large as themselves. Of more than
    three leaves, the highest and the lowest at the end are named.

    Args:
      health: of a run, from `vx.train.health`.
      ax: where to draw; None means axes of their own.

    Raises:
      ValueError: if nothing was measured.
    """
    _check(health)
    places = np.flatnonzero(health.is_weight) if any(health.is_weight) else np.arange(len(health.paths))
    columns = _columns(len(health.steps))
    steps = np.array([health.steps[group].mean() for group in columns])
    ratios = np.exp(np.stack([_mean_log(health.values["update_ratio"][group][:, places]) for group in columns]))
    ax = axes_or_new(ax)
    every = np.append(ratios[ratios > 0], USUAL)
    ax.set(yscale="log", ylim=(every.min() / 2, every.max() * 2))
    named = list(range(len(places))) if len(places) <= 3 else _extremes(ratios)
    for index in range(len(places)):
        if index not in named:
            ax.plot(steps, ratios[:, index], color=LINE, linewidth=0.8, alpha=0.6)
    for (color, line, marker), index in zip(SERIES, named, strict=False):
        marker = marker if len(steps) <= 30 else None
        look = {"color": color, "marker": marker, "markersize": 3.5, "linewidth": 1.6}
        ax.plot(steps, ratios[:, index], line, label=ending(health.paths[places[index]], 24), **look)
    ax.axhline(USUAL, color=LINE, linestyle="--", linewidth=1.2)
    plain_log_ticks(ax)
    ax.set(xlabel="step", ylabel="update / weight")
    legend(ax)
    return ax


def _check(health: Health) -> None:
    if not len(health) or not health.paths:
        raise ValueError("health must have at least one step, got none. Train with vx.Experiment(..., watch=True).")


def spread(must: np.ndarray) -> np.ndarray:
    """Returns which of the leaves are drawn."""
    if len(must) <= LISTED:
        return np.arange(len(must))
    first = np.flatnonzero(must)[:LISTED]
    others = np.setdiff1d(np.arange(len(must)), first)
    even = others[np.linspace(0, len(others) - 1, LISTED - len(first)).astype(int)]
    return np.sort(np.concatenate([first, even]))


def _columns(steps: int) -> list[np.ndarray]:
    """Returns which of the measured steps make each column of a picture."""
    return np.array_split(np.arange(steps), min(steps, COLUMNS))


def _mean_log(values: np.ndarray) -> np.ndarray:
    """Returns the mean logarithm of each column of what is above 0; NaN where nothing is."""
    is_known = np.isfinite(values) & (values > 0)
    total = np.log(values, where=is_known, out=np.zeros(values.shape)).sum(axis=0)
    known = is_known.sum(axis=0)
    return np.divide(total, known, where=known > 0, out=np.full(total.shape, np.nan))


def _shades(norms: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Returns red, green, blue and opacity of each cell."""
    from matplotlib.colors import to_rgb

    is_known = np.isfinite(norms)
    low, high = (norms[is_known].min(), norms[is_known].max()) if is_known.any() else (0.0, 1.0)
    opacity = np.where(is_known, 0.12 + 0.88 * (np.nan_to_num(norms) - low) / max(high - low, 1e-12), 0.0)
    color = np.where(bad[..., None], to_rgb(ORANGE), to_rgb(BLUE))
    return np.concatenate([color, np.where(bad, 1.0, opacity)[..., None]], axis=-1)


def _extremes(ratios: np.ndarray) -> list[int]:
    """Returns which leaf is highest and which lowest at the end, of those that have a number there."""
    last = ratios[-1]
    known = np.flatnonzero(np.isfinite(last))
    return [int(known[last[known].argmax()]), int(known[last[known].argmin()])] if len(known) else []


def ending(path: str, most: int = 18) -> str:
    """Returns a path fit for a picture: its end says most."""
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in path)
    return text if len(text) <= most else "…" + text[1 - most :]
