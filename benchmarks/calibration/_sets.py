"""Data sets: pairs of training and held-out rows, drawn with a seed or bundled with scikit-learn."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from sklearn import datasets

Rows = tuple[Any, Any]
Splits = tuple[Rows, Rows]


def split(x: Any, y: Any, share: float = 0.75, seed: int = 0) -> Splits:
    """Returns shuffled training and held-out rows."""
    order = np.random.default_rng(seed).permutation(len(x))
    cut = int(len(x) * share)
    return (x[order[:cut]], y[order[:cut]]), (x[order[cut:]], y[order[cut:]])


def standardised(splits: Splits, targets: bool = False) -> Splits:
    """Returns inputs (and targets) with the mean and deviation of the training rows taken out."""
    (x, y), (x_test, y_test) = splits
    mean, deviation = x.mean(0), x.std(0) + 1e-8
    x, x_test = (x - mean) / deviation, (x_test - mean) / deviation
    if targets:
        centre, spread = y.mean(), y.std()
        y, y_test = (y - centre) / spread, (y_test - centre) / spread
    return (x.astype(np.float32), y), (x_test.astype(np.float32), y_test)


@functools.cache
def digits(seed: int = 0, images: bool = False) -> Splits:
    """Handwritten digits in [0, 1]: the border never changes."""
    x, y = datasets.load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    return split(x.reshape(-1, 8, 8, 1) if images else x, y.astype(np.int32), seed=seed)


@functools.cache
def wine(seed: int = 0) -> Splits:
    x, y = datasets.load_wine(return_X_y=True)
    return standardised(split(x, y.astype(np.int32), seed=seed))


@functools.cache
def tumours(seed: int = 0, raw: bool = False) -> Splits:
    """Breast cancer measurements; raw columns range from 0.001 to 4000."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    splits = split(x.astype(np.float32), y.astype(np.int32), seed=seed)
    return splits if raw else standardised(splits)


@functools.cache
def diabetes(seed: int = 0) -> Splits:
    x, y = datasets.load_diabetes(return_X_y=True)
    return standardised(split(x, y.astype(np.float32), seed=seed), targets=True)


@functools.cache
def moons(rows: int = 1200, seed: int = 0) -> Splits:
    x, y = datasets.make_moons(rows, noise=0.2, random_state=seed)
    return split(x.astype(np.float32), y.astype(np.int32), seed=seed)


@functools.cache
def rings(rows: int = 1200, seed: int = 0) -> Splits:
    x, y = datasets.make_circles(rows, noise=0.08, factor=0.5, random_state=seed)
    return split(2 * x.astype(np.float32), y.astype(np.int32), seed=seed)


@functools.cache
def blobs(rows: int = 1500, classes: int = 4, columns: int = 6, spread: float = 1.5, seed: int = 0) -> Splits:
    """Clouds that overlap: a share of the labels is wrong by right."""
    x, y = datasets.make_blobs(
        rows, columns, centers=classes, cluster_std=spread, center_box=(-3, 3), random_state=seed
    )
    return standardised(split(x, y.astype(np.int32), seed=seed))


@functools.cache
def uneven(rows: int = 3000, share: float = 0.04, columns: int = 8, seed: int = 0) -> Splits:
    """Two clear clouds, one of them rare."""
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < share).astype(np.int32)
    x = (rng.normal(size=(rows, columns)) + 2.4 * y[:, None] * (np.arange(columns) < 3)).astype(np.float32)
    return split(x, y, share=0.6, seed=seed)


@functools.cache
def friedman(rows: int = 1200, seed: int = 0) -> Splits:
    x, y = datasets.make_friedman1(rows, n_features=8, noise=0.5, random_state=seed)
    return standardised(split(x, y.astype(np.float32), seed=seed), targets=True)


@functools.cache
def waves(rows: int = 1000, columns: int = 5, noise: float = 0.1, seed: int = 0) -> Splits:
    """A smooth function of standard normal columns."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns)).astype(np.float32)
    y = np.sin(x[:, 0]) + 0.5 * x[:, 1] * x[:, 2] + noise * rng.normal(size=rows)
    return split(x, ((y - y.mean()) / y.std()).astype(np.float32), seed=seed)


@functools.cache
def switches(rows: int = 1500, columns: int = 6, noise: float = 0.05, seed: int = 0) -> Splits:
    """A truth table with five labels in a hundred flipped: every row occurs many times, on both sides of the split."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2, (rows, columns))
    y = (x[:, 0] ^ x[:, 1]) | (x[:, 2] & x[:, 3])
    y = np.where(rng.random(rows) < noise, 1 - y, y).astype(np.int32)
    return split((2 * x - 1).astype(np.float32), y, seed=seed)


@functools.cache
def categories(rows: int = 1600, seed: int = 0) -> Splits:
    """Four categorical columns as one-hot, with rare levels of which some occur on one side of the split only."""
    rng = np.random.default_rng(seed)
    levels = [rng.zipf(1.8, rows).clip(1, 12) - 1 for _ in range(4)]
    effects = [rng.normal(size=12) for _ in range(4)]
    logit = 2.0 * sum(effect[level] for effect, level in zip(effects, levels, strict=True))
    y = (rng.random(rows) < 1 / (1 + np.exp(-2 * (logit - np.median(logit))))).astype(np.int32)
    x = np.concatenate([np.eye(12)[level] for level in levels], 1).astype(np.float32)
    return split(x, y, seed=seed)


@functools.cache
def topics(rows: int = 1500, words: int = 120, classes: int = 5, seed: int = 0) -> Splits:
    """Sparse counts of words, of which nearly all are zero."""
    rng = np.random.default_rng(seed)
    laws = rng.dirichlet(np.full(words, 0.1), classes)
    y = rng.integers(0, classes, rows).astype(np.int32)
    x = np.stack([rng.multinomial(12, 0.5 * laws[label] + 0.5 / words) for label in y]).astype(np.float32)
    return split(x, y, seed=seed)


@functools.cache
def heavy(rows: int = 1200, seed: int = 0) -> Splits:
    """Inputs with the tails of Student's t at three degrees of freedom: real values, far out."""
    rng = np.random.default_rng(seed)
    x = rng.standard_t(3, size=(rows, 6)).astype(np.float32)
    y = (np.tanh(x[:, 0]) + np.tanh(x[:, 1] - x[:, 2]) + 0.2 * rng.normal(size=rows) > 0).astype(np.int32)
    return split(x, y, seed=seed)


@functools.cache
def correlated(rows: int = 1000, seed: int = 0) -> Splits:
    """Twelve columns that are noisy copies of three."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(rows, 3))
    x = (np.repeat(hidden, 4, 1) + 0.05 * rng.normal(size=(rows, 12))).astype(np.float32)
    y = hidden[:, 0] - 0.7 * hidden[:, 1] + np.abs(hidden[:, 2]) + 0.2 * rng.normal(size=rows)
    return split(x, ((y - y.mean()) / y.std()).astype(np.float32), seed=seed)


@functools.cache
def imputed(rows: int = 1200, seed: int = 0) -> Splits:
    """Columns with one value in five missing, put at the mean (0), with a column that says so beside each."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 6))
    y = (x[:, 0] + x[:, 1] * x[:, 2] + 0.3 * rng.normal(size=rows) > 0).astype(np.int32)
    absent = rng.random(x.shape) < 0.08
    return split(np.concatenate([np.where(absent, 0, x), absent], 1).astype(np.float32), y, seed=seed)


@functools.cache
def capped(rows: int = 1200, seed: int = 0) -> Splits:
    """Sensors that stop at a highest value, which so occurs often."""
    rng = np.random.default_rng(seed)
    x = np.minimum(rng.gamma(2.0, 1.0, size=(rows, 5)), 4.0)
    y = np.log1p(x[:, 0]) + 0.3 * x[:, 1] * (x[:, 2] > 2) + 0.1 * rng.normal(size=rows)
    return split((x - 2).astype(np.float32), ((y - y.mean()) / y.std()).astype(np.float32), seed=seed)


@functools.cache
def parity(rows: int = 2400, seed: int = 0) -> Splits:
    """The sign of a product of three among eight columns: neighbours say next to nothing about the label."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 8)).astype(np.float32)
    return split(x, (x[:, 0] * x[:, 1] * x[:, 2] > 0).astype(np.int32), seed=seed)


@functools.cache
def law(rows: int = 800, seed: int = 0) -> Splits:
    """A physical law: one column explains nine tenths of the target, as it does in nature."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    y = 3 * x[:, 0] + np.sin(2 * x[:, 1]) + 0.5 * rng.normal(size=rows)
    return split(x, (y / 3).astype(np.float32), seed=seed)


@functools.cache
def counts(rows: int = 1500, seed: int = 0) -> Splits:
    """Numbers of events whose rate depends on the inputs."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 5)).astype(np.float32)
    return split(x, rng.poisson(np.exp(2.5 + 0.5 * x[:, 0] - 0.5 * np.abs(x[:, 1]))).astype(np.float32), seed=seed)


@functools.cache
def spread_out(rows: int = 1500, seed: int = 0) -> Splits:
    """A target whose noise grows with an input."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (rows, 3)).astype(np.float32)
    y = np.sin(2 * x[:, 0]) + x[:, 1] + 0.05 * np.exp(x[:, 2]) * rng.normal(size=rows)
    return split(x, y.astype(np.float32), seed=seed)


@functools.cache
def bars(rows: int = 1200, size: int = 12, seed: int = 0, top: float = 1.0) -> Splits:
    """Images with a bright row, column or diagonal in noise, in [0, top]."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, rows).astype(np.int32)
    x = rng.uniform(0, 0.4, (rows, size, size, 1))
    for image, label, place in zip(x, y, rng.integers(0, size, rows), strict=True):
        bar = image[place] if label == 0 else image[:, place] if label == 1 else None
        if bar is None:
            image[np.arange(size), (np.arange(size) + place) % size] += 0.6
        else:
            bar += 0.6
    return split((top * x).astype(np.float32), y, seed=seed)


@functools.cache
def words(rows: int = 1500, length: int = 12, vocabulary: int = 30, seed: int = 0, padded: bool = False) -> Splits:
    """Sequences of tokens whose class is which of three marked groups occurs most; 0 pads where asked."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, rows).astype(np.int32)
    x = rng.integers(1, vocabulary, (rows, length))
    marked = rng.random((rows, length)) < 0.4
    x = np.where(marked, 1 + 3 * rng.integers(0, 3, (rows, length)) + y[:, None], x).astype(np.int32)
    if padded:
        lengths = rng.integers(length // 2, length + 1, rows)
        x = np.where(np.arange(length) < lengths[:, None], x, 0).astype(np.int32)
    return split(x, y, seed=seed)


@functools.cache
def chains(rows: int = 700, length: int = 16, vocabulary: int = 12, seed: int = 0) -> Splits:
    """Text of a Markov chain: the inputs, and the token that follows at each position."""
    rng = np.random.default_rng(seed)
    laws = rng.dirichlet(np.full(vocabulary, 0.15), vocabulary)
    text = np.empty((rows, length + 1), np.int32)
    text[:, 0] = rng.integers(0, vocabulary, rows)
    for place in range(length):
        steps = (laws[text[:, place]].cumsum(1) > rng.random((rows, 1))).argmax(1)
        text[:, place + 1] = steps
    return split(text[:, :-1], text[:, 1:], seed=seed)


@functools.cache
def tags(rows: int = 800, length: int = 12, vocabulary: int = 20, seed: int = 0) -> Splits:
    """A tag at every position that the tokens on both sides decide; padded ends are -1 and do not count."""
    rng = np.random.default_rng(seed)
    x = rng.integers(1, vocabulary, (rows, length))
    low = x < vocabulary // 2
    y = low.astype(np.int64) + np.roll(low, -1, 1) * np.r_[np.ones(length - 1, int), 0]
    inside = np.arange(length) < rng.integers(length // 2, length + 1, rows)[:, None]
    x, y = np.where(inside, x, 0), np.where(inside, y, -1)
    last = inside & ~np.roll(inside, -1, 1)
    y = np.where(last | (np.arange(length) == length - 1) & inside, low, y)
    return split(x.astype(np.int32), y.astype(np.int32), seed=seed)


@functools.cache
def series(rows: int = 900, length: int = 20, seed: int = 0) -> Splits:
    """Noisy oscillations of three rates, of random phase."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, rows).astype(np.int32)
    time = np.arange(length)[None] * (0.4 + 0.4 * y[:, None])
    x = np.sin(time + rng.uniform(0, 6.28, (rows, 1))) + 0.2 * rng.normal(size=(rows, length))
    return split(x[..., None].astype(np.float32), y, seed=seed)
