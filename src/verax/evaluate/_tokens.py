"""Metrics of a language model from what it says about each target token, each with an interval over sequences."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from verax.evaluate._estimate import Estimate, effective_size, mean_estimate, score_estimate
from verax.evaluate._inputs import Values
from verax.findings import Finding, InputError, raise_errors
from verax.trees import shape_text

Tokens = Shaped[Array | np.ndarray, "sequences tokens"]


class TokenScores(NamedTuple):
    """What a language model says about each target token: all that its metrics need, a vocabulary's size smaller.

    Attributes:
      nll: minus the log-probability of the target, in nats.
      hits: whether the target was the most probable token; None if that is not known.
    """

    nll: Tokens
    hits: Tokens | None = None


def token_scores(logits: Shaped[Array | np.ndarray, "sequences tokens vocabulary"], targets: Tokens) -> TokenScores:
    """Returns what logits say about the target tokens; pure, to be used inside `jit` a batch at a time.

    Args:
      logits: unnormalised scores of every token of the vocabulary at each place.
      targets: the tokens that came, in `[0, vocabulary)`.

    Example:
      >>> said = token_scores(jnp.zeros((1, 3, 4)), jnp.array([[0, 1, 2]]))
      >>> said.nll.tolist() == [[np.log(np.float32(4))] * 3], said.hits.tolist()
      (True, [[True, False, False]])
    """
    logits, targets = jnp.asarray(logits), jnp.asarray(targets)
    logits = logits.astype(jnp.float32) if logits.dtype.itemsize < 4 else logits  # sums of many exponentials
    own = jnp.take_along_axis(logits, targets[..., None].astype(jnp.int32), axis=-1)[..., 0]
    return TokenScores(jax.nn.logsumexp(logits, axis=-1) - own, logits.argmax(axis=-1) == targets.astype(jnp.int32))


def token_metrics(
    nll: Float[np.ndarray, "sequences tokens"],
    hits: Float[np.ndarray, "sequences tokens"] | None,
    weight: Float[np.ndarray, "sequences tokens"],
) -> dict[str, Estimate]:
    """Returns loss (nats a token), perplexity, bits per token, and accuracy where it is known, by name.

    The mean is over tokens and its interval over sequences, as tokens of a sequence depend on each other; perplexity
    and bits are the loss on other scales, and so are the ends of their intervals.
    """
    counts = weight.sum(axis=1)
    loss = ratio_estimate((nll * weight).sum(axis=1), counts)
    metrics = {
        "loss": loss,
        "perplexity": Estimate(*(math.exp(min(end, 709.0)) if end < math.inf else math.inf for end in loss)),
        "bits_per_token": Estimate(*(end / math.log(2) for end in loss)),
    }
    if hits is not None:
        metrics["accuracy"] = share_of_tokens((hits * weight).sum(axis=1), counts, effective_size(weight[weight > 0]))
    return metrics


def ratio_estimate(totals: Float[np.ndarray, " groups"], sizes: Float[np.ndarray, " groups"]) -> Estimate:
    """Returns a mean over members of groups, `totals.sum() / sizes.sum()`, with an interval over the groups.

    Members of a group depend on each other in any way; groups do not. A single group says nothing about the scatter of
    groups: then the interval has no end.

    Args:
      totals: the sum of the members' values in each group.
      sizes: the number (or the weight) of its members, positive.

    References:
      Cochran (1977), "Sampling Techniques", section 2.11: the variance of a ratio, linearised; with Hall's correction
      for skewness (see `mean_estimate`).
    """
    value = float(totals.sum() / sizes.sum())
    offsets = mean_estimate((totals - value * sizes) / sizes.mean())  # of mean zero
    low, high = value + offsets.low, value + offsets.high
    least = 0.0 if (totals >= 0).all() else -math.inf
    if len(totals) == 1:
        return Estimate(value, least, math.inf)
    return Estimate(value, max(least, min(low, value)), max(high, value))


def share_of_tokens(
    hits: Float[np.ndarray, " sequences"], counts: Float[np.ndarray, " sequences"], tokens: float
) -> Estimate:
    """Returns the share of tokens that were hit, with an interval over sequences."""
    value = float(hits.sum() / counts.sum())
    sequences = len(hits)
    if sequences == 1:
        return Estimate(value, 0.0, 1.0)
    influence = (hits - value * counts) / counts.sum()
    return score_estimate(value, float((influence**2).sum()) * sequences / (sequences - 1), tokens)


def checked_tokens(
    predictions: Any, targets: Values, weight: Values | None, padding: int | None
) -> tuple[
    Float[np.ndarray, "sequences tokens"],
    Float[np.ndarray, "sequences tokens"] | None,
    Float[np.ndarray, "sequences tokens"],
]:
    """Returns negative log-likelihoods, hits and weights of tokens as float64; sequences of weight 0 are left out.

    Args:
      predictions: `TokenScores`, or probabilities (sequences, tokens, vocabulary).
      targets: (sequences, tokens).
      weight: a share for each sequence or each token.
      padding: the token that counts for nothing.

    Raises:
      InputError: if shapes differ, a token is out of range, or nothing counts.
    """
    share, targets = token_weight(targets, weight, padding), np.asarray(targets)
    if isinstance(predictions, TokenScores):
        nll, hits = predictions
    else:
        nll, hits = _of_probabilities(np.asarray(predictions), targets, share)
    nll = np.asarray(nll)
    for name, values in (("nll", nll), ("hits", hits)):
        if values is not None and np.shape(values) != targets.shape:
            problem = (
                f"{name} must have the shape of the targets, {targets.shape}, got {shape_text(np.asarray(values))}."
            )
            raise InputError([Finding("length-mismatch", "error", problem, "Are both of the same split?")])
    counted = share > 0
    bad = np.argwhere(counted & ~(nll.astype(np.float64) >= 0))
    if bad.size:
        place = tuple(int(index) for index in bad[0])
        problem = f"nll must be numbers of at least 0, got {float(nll[place]):.4g} at index {place}."
        raise InputError([Finding("non-finite", "error", problem, "It is minus the log-probability of each target.")])
    kept = counted.any(axis=1)
    wide = np.where(counted, nll, 0.0).astype(np.float64)[kept]  # what does not count may be anything
    return wide, None if hits is None else np.asarray(hits, np.float64)[kept], share[kept]


def _of_probabilities(
    table: np.ndarray, targets: Int[np.ndarray, "sequences tokens"], share: Float[np.ndarray, "sequences tokens"]
) -> tuple[np.ndarray, np.ndarray]:
    if table.ndim != 3 or table.shape[:2] != targets.shape:
        problem = (
            f"predictions must be probabilities of shape (sequences, tokens, vocabulary) for targets {targets.shape}, "
            f"or vx.evaluate.TokenScores, got {shape_text(table)}."
        )
        raise InputError(
            [Finding("wrong-rank", "error", problem, "token_scores(logits, targets) makes them from logits.")]
        )
    vocabulary = table.shape[2]
    bad = np.argwhere((share > 0) & ((targets < 0) | (targets >= vocabulary)))
    if bad.size:
        place = tuple(int(index) for index in bad[0])
        problem = f"targets must lie in [0, {vocabulary}), got {targets[place]} at index {place}."
        advice = "Does the network have too few outputs? Name the token that fills up sequences with padding=."
        raise InputError([Finding("label-out-of-range", "error", problem, advice)])
    places = np.clip(targets, 0, vocabulary - 1)
    own = np.take_along_axis(table, places[..., None], axis=-1)[..., 0].astype(np.float64)
    outside = ~((own >= 0) & (own <= 1 + 1e-3)) & (share > 0)
    if outside.any():
        place = tuple(int(index) for index in np.argwhere(outside)[0])
        problem = f"probabilities must lie in [0, 1], got {own[place]:.4g} at index {place}."
        advice = "If these are logits, pass vx.evaluate.token_scores(logits, targets)."
        raise InputError([Finding("not-probabilities", "error", problem, advice)])
    smallest = float(np.finfo(table.dtype).smallest_normal) if table.dtype.kind == "f" else 1.2e-38
    return -np.log(np.clip(own, smallest, 1.0)), table.argmax(axis=-1) == targets


def token_weight(targets: Values, weight: Values | None, padding: int | None) -> Float[np.ndarray, "sequences tokens"]:
    """Returns a weight for each token, 0 for padding.

    Raises:
      InputError: if the targets are no tokens, the weights do not fit them, or nothing counts.
    """
    targets = np.asarray(targets)
    if targets.ndim != 2 or targets.dtype.kind not in "iu" or targets.size == 0:
        problem = f"targets must be whole-numbered tokens of shape (sequences, tokens), got {shape_text(targets)}."
        raise InputError([Finding("wrong-labels", "error", problem, "One text is a single row, tokens[None].")])
    share = np.ones(targets.shape) if weight is None else np.asarray(weight, np.float64)
    if share.shape == targets.shape[:1]:
        share = np.broadcast_to(share[:, None], targets.shape)
    problems = []
    if share.shape != targets.shape:
        wanted = f"each sequence {targets.shape[:1]} or each token {targets.shape}"
        problems.append(f"weight must have one number for {wanted}, got shape {share.shape}.")
    elif not (np.isfinite(share) & (share >= 0)).all():
        problems.append("weight must be finite and not negative.")
    else:
        share = share if padding is None else np.where(targets == padding, 0.0, share)
        if not share.any():
            problems.append(f"a token must count, got {targets.size} that are padding or have weight 0.")
    raise_errors([Finding("bad-weight", "error", problem, "0 leaves a token out.") for problem in problems])
    return share
