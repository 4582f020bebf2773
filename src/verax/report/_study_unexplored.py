"""What a study has not seen: values never tried, empty parts of intervals, a best setting at the edge."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from verax.plot._trials import (
    Content,
    Scale,
    best_number,
    complete,
    is_number,
    scales,
    value_text,
)

EDGE = 0.05  # of an interval: a winner that near to an end may lie beyond it
WIDE = 0.25  # of an interval: an empty part that is worth a word; eight trials spread evenly leave half of it
FEW_WHOLE = 20  # whole numbers that are told one by one, like those of a list
LISTED = 12
CHANCE = 0.05  # how often numbers without any order would part as cleanly


class Gap(NamedTuple):
    """An empty part of an interval.

    Attributes:
      low: where it begins.
      high: where it ends.
      share: of the whole interval, on its own scale.
    """

    low: float | int
    high: float | int
    share: float


class Coverage(NamedTuple):
    """What of one hyperparameter's values was tried.

    Attributes:
      scale: what it may be.
      untried: values that no trial had; of intervals only where they hold few whole numbers.
      unfinished: values that only trials had which were not trained to their end, with how those ended.
      gap: the largest part of an interval without a trial; None for a list.
      gap_complete: the largest without a complete trial.
      edge: `low` or `high` if the best trial lies at that end, else None.
    """

    scale: Scale
    untried: tuple[Any, ...] = ()
    unfinished: tuple[tuple[Any, str], ...] = ()
    gap: Gap | None = None
    gap_complete: Gap | None = None
    edge: str | None = None


def coverage(content: Content) -> list[Coverage]:
    """Returns what was tried of each hyperparameter whose values the study knows."""
    return [_coverage(scale, content) for scale in scales(content) if scale.is_known]


def _coverage(scale: Scale, content: Content) -> Coverage:
    tried = [(trial["hyperparameters"][scale.name], trial) for trial in content["trials"] if _has(trial, scale)]
    done = {repr(value) for value, trial in tried if trial["state"] == "complete"}
    best = next((value for value, trial in tried if trial["number"] == best_number(content)), None)
    edge = None if best is None else _edge(scale, best)
    values = _listed(scale)
    if values is None:
        numbers = [float(value) for value, trial in tried if trial["state"] != "not trained" and is_number(value)]
        finished = [float(trial["hyperparameters"][scale.name]) for trial in complete(content) if _has(trial, scale)]
        return Coverage(scale, gap=largest_gap(scale, numbers), gap_complete=largest_gap(scale, finished), edge=edge)
    every = {repr(value) for value, _ in tried}
    untried = tuple(value for value in values if repr(value) not in every)
    unfinished = tuple(
        (value, ", ".join(_counts(trial["state"] for other, trial in tried if repr(other) == repr(value))))
        for value in values
        if repr(value) in every - done
    )
    return Coverage(scale, untried, unfinished, edge=edge)


def largest_gap(scale: Scale, numbers: Sequence[float | int]) -> Gap:
    """Returns the largest part of an interval that holds none of some numbers, its ends included.

    Example:
      >>> largest_gap(Scale("rate", None, 0.0, 1.0), [0.1, 0.2, 0.9])
      Gap(low=0.2, high=0.9, share=0.7)
    """
    half = 0.5 if scale.whole else 0.0  # a whole number fills the room up to half way to the next
    along: Callable[[float], float] = math.log if scale.log else float
    back: Callable[[float], float] = math.exp if scale.log else float
    start, end = along(scale.low - half), along(scale.high + half)
    reached, best = start, (start, start)
    for number in [*sorted(numbers), None]:
        begin = end if number is None else along(number - half)
        best = max(best, (reached, begin), key=lambda pair: pair[1] - pair[0])
        reached = reached if number is None else max(reached, along(number + half))
    ends = [back(each) for each in best]
    if scale.whole:
        ends = [math.ceil(ends[0] - 1e-6), math.floor(ends[1] + 1e-6)]
    low, high = (min(max(each, scale.low), scale.high) for each in ends)
    return Gap(low, high, round((best[1] - best[0]) / (end - start), 9) if end > start else 0.0)


def advice(content: Content) -> list[str]:
    """Returns a sentence for all that a next study could look at: edges, what was never tried, what broke."""
    found = coverage(content)
    sentences = [_at_the_edge(each, content) for each in found if each.edge]
    sentences += [text for each in found for text in _holes(each)]
    sentences += broken(content)
    return [*sentences, *_combinations(found, content), *_unknown(content)]


def _at_the_edge(found: Coverage, content: Content) -> str:
    scale, best = found.scale, content["best"]["hyperparameters"][found.scale.name]
    name, value, end = scale.name, value_text(best), scale.low if found.edge == "low" else scale.high
    where = "the lowest" if found.edge == "low" else "the highest"
    kind = f"{where} of the {len(scale.values)} values" if scale.values is not None else f"at the {found.edge} end"
    text = f"The best {name}, {value}, is {kind} that were searched"
    if scale.values is None:
        text = f"The best {name}, {value}, is {kind} of the interval from {value_text(scale.low)} to "
        text += value_text(scale.high)
    if end == 0:
        return f"{text}. If 0 switches it off, leave it out of the next search."
    wider = _wider(scale, found.edge or "")
    text += f". Widen the range {'downwards' if found.edge == 'low' else 'upwards'}"
    return f"{text}{f', such as to {value_text(wider)}' if wider is not None else ''}.{_inner_tie(found, content)}"


def _inner_tie(found: Coverage, content: Content) -> str:
    """Returns that a trial that is as good lies elsewhere, if so."""
    tied = set((content.get("winner") or {}).get("ties", ()))
    for trial in complete(content):
        inside = trial["number"] in tied and _has(trial, found.scale)
        if inside and _edge(found.scale, trial["hyperparameters"][found.scale.name]) is None:
            value = value_text(trial["hyperparameters"][found.scale.name])
            return f" Noise does not tell it from trial {trial['number']}, which has {value}."
    return ""


def _wider(scale: Scale, edge: str) -> float | int | None:
    """Returns an end that lies further out: a decade, or a step like the last one; None where it may make no sense."""
    down = edge == "low"
    if scale.values is not None and len(scale.values) > 1:
        end, inner = (scale.values[0], scale.values[1]) if down else (scale.values[-1], scale.values[-2])
        wider = end * (end / inner) if min(end, inner) > 0 else end + (end - inner)
    elif scale.log:
        end, wider = (scale.low, scale.low / 10) if down else (scale.high, scale.high * 10)
    else:
        return None  # of a rate or a share nobody knows here how far it may go
    if scale.whole:
        wider = max(1, round(wider)) if scale.low > 0 else round(wider)
    beyond_a_share = 0 < end <= 1 < wider or end >= 0 > wider
    return None if beyond_a_share or wider == end else float(f"{wider:.3g}") if not scale.whole else wider


def _holes(found: Coverage) -> list[str]:
    name, sentences = found.scale.name, []
    if found.untried:
        sentences.append(f"Never tried: {name} {_list(found.untried)}.")
    if found.unfinished:
        each = "; ".join(f"{value_text(value)} ({how})" for value, how in found.unfinished[:LISTED])
        more = len(found.unfinished) - LISTED
        sentences.append(
            f"Tried only in trials that did not finish: {name} {each}{f'; and {more} more' if more > 0 else ''}."
        )
    if found.gap is not None and found.gap.share >= WIDE:
        ends = f"between {value_text(found.gap.low)} and {value_text(found.gap.high)}"
        sentences.append(f"No trial has {name} {ends}, {100 * found.gap.share:.0f} % of its range.")
    elif found.gap_complete is not None and found.gap_complete.share >= WIDE:
        gap = found.gap_complete
        ends = f"between {value_text(gap.low)} and {value_text(gap.high)}"
        sentences.append(f"No complete trial has {name} {ends}, {100 * gap.share:.0f} % of its range.")
    return sentences


def broken(content: Content) -> list[str]:
    """Returns by which number trials that did not stay finite part from the others, where that is no chance."""
    bad = [trial for trial in content["trials"] if trial["state"] == "not finite"]
    good = [trial for trial in content["trials"] if trial["state"] in ("complete", "pruned")]
    known = [scale for scale in scales(content) if not math.isnan(scale.low)]
    ways = 2 * len(known)
    if not bad or not good or ways / math.comb(len(bad) + len(good), len(bad)) > CHANCE:
        return []
    sentences = []
    for scale in known:
        if not all(_has(trial, scale) for trial in [*bad, *good]):
            continue
        low, high = ([trial["hyperparameters"][scale.name] for trial in some] for some in (bad, good))
        start = f"All {len(bad)} trials that did not stay finite have {scale.name}"
        if min(low) > max(high):
            ends = f"at least {value_text(min(low))}; the others have at most {value_text(max(high))}."
            sentences.append(f"{start} {ends}")
        elif max(low) < min(high):
            sentences.append(
                f"{start} at most {value_text(max(low))}; the others have at least {value_text(min(high))}."
            )
    return sentences


def _combinations(found: Sequence[Coverage], content: Content) -> list[str]:
    """Returns how many combinations of lists were not tried."""
    space = content.get("facts", {}).get("space") or {}
    lists = [told["values"] if told and "values" in told else None for told in space.values()]
    if len(lists) < 2 or any(values is None for values in lists):
        return []
    total = math.prod(len(values) for values in lists if values is not None)
    tried = len({repr(sorted(trial["hyperparameters"].items())) for trial in content["trials"]})
    return [f"{total - tried:,} of {total:,} combinations were never tried."] if tried < total else []


def _unknown(content: Content) -> list[str]:
    unknown = [scale.name for scale in scales(content) if not scale.is_known]
    if not unknown:
        return []
    is_told = bool(content.get("facts", {}).get("space"))
    why = "its values depend on other hyperparameters" if is_told else "the study does not hold its space"
    return [f"What was not tried of {_list(unknown)} is not known: {why}."]


def _listed(scale: Scale) -> tuple[Any, ...] | None:
    if scale.values is None and scale.whole and scale.high - scale.low < FEW_WHOLE:
        return tuple(range(int(scale.low), int(scale.high) + 1))
    return scale.values


def _edge(scale: Scale, value: Any) -> str | None:
    """Returns at which end of a numeric hyperparameter a value lies."""
    if scale.name == "seed" or math.isnan(scale.low) or scale.low == scale.high or not is_number(value):
        return None
    if scale.values is None and scale.low == 0 < value and scale.share(value) < 0.5:
        return None  # nothing lies beyond 0 of what is 0 or more
    near = 0.0 if scale.values is not None or (scale.whole and not scale.log) else EDGE
    share = scale.share(value)
    return "low" if share <= near else "high" if share >= 1 - near else None


def _has(trial: Mapping[str, Any], scale: Scale) -> bool:
    return scale.name in trial["hyperparameters"]


def _counts(states: Any) -> list[str]:
    states = list(states)
    return [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]


def _list(values: Sequence[Any]) -> str:
    more = len(values) - LISTED
    return ", ".join(map(value_text, values[:LISTED])) + (f" and {more} more" if more > 0 else "")
