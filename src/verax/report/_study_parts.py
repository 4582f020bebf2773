"""The sections of a study's page, each from the content of study.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from verax.plot._trials import Content, best_number, complete, is_finite, scales, value_text
from verax.report._elements import Content as Written
from verax.report._elements import Markup, tag
from verax.report._figures import figure
from verax.report._items import pairs
from verax.report._quantities import label, quantity, rows, sentence_case
from verax.report._scores import folded, table
from verax.report._study_unexplored import advice, coverage
from verax.tune._judge import cost, is_higher_better

SHOWN = 30  # rows of a table at most
NUMBERS = 8  # trials named one by one
SLICES = 12  # hyperparameters that have a picture of their own, those that matter most
STATES = ("complete", "pruned", "not finite", "not trained")
WHY = {
    "pruned": "stopped by the pruner",
    "not finite": "NaN or Inf",
    "not trained": "could not be trained",
}
LISTED_FACTS = ("search", "generation", "seed", "seeds", "pruner", "executor")


def sentence(content: Content) -> str:
    """Returns how many trials there were and how they ended."""
    counts = {state: sum(trial["state"] == state for trial in content["trials"]) for state in STATES}
    total = len(content["trials"])
    ended = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f"{total:,} {'trial' if total == 1 else 'trials'} ({ended})"


def header(content: Content, title: str) -> Markup:
    """Returns the top of the page: how many trials, and what the best is worth."""
    less = "more is better" if is_higher_better(content["objective"]) else "less is better"
    words = f"{sentence(content)}, compared by {content['objective']} ({less})."
    brand = tag("p", "Verax study", class_="brand")
    return tag("header", brand, tag("h1", title), tag("p", words), tiles(content))


def tiles(content: Content) -> Written:
    """Returns what the winner is worth with fresh seeds, what the search saw, and what was luck."""
    best, winner, metric = content["best"], content.get("winner"), _metric(content)
    if not best or not is_finite(best["value"]):
        return tag("p", "No trial was trained to its end with a finite value.")
    seen = f"trial {best['number']}, chosen as the best of {len(content['trials'])}"
    if winner is None:
        words = "Flattering: the best of many was lucky too. It was not trained anew with fresh seeds."
        return tag(
            "dl",
            _tile(f"{content['objective']} in the search", _of(metric, best["value"]), seen, words),
            class_="tiles",
        )
    value, luck = winner["value"], winner["luck"]
    count = len(winner["seeds"])
    fresh = f"{content['objective']} with {count} fresh {'seed' if count == 1 else 'seeds'}"
    return tag(
        "dl",
        _tile(fresh, _of(metric, value["value"]), _interval(metric, value)),
        _tile("As the search saw it", _of(metric, best["value"]), seen),
        _tile("Of that was luck", _of(metric, luck["value"]), _interval(metric, luck)),
        class_="tiles",
    )


def to_look_at(content: Content) -> Written:
    """Returns what a reader should know before using the winner, and what a next study could search."""
    lines = noted(content)
    if not lines:
        return None
    head = tag("h2", "What to look at next", id="next")
    return tag("section", head, sentences(lines), class_="card", aria_labelledby="next")


def sentences(lines: Sequence[str]) -> Written:
    """Returns sentences as a list."""
    return tag("ul", [tag("li", line) for line in lines], class_="findings") if lines else None


def noted(content: Content) -> list[str]:
    """Returns a sentence for all that is worth a look: luck, simpler ties, edges, what was never explored."""
    return [*_of_winner(content), *advice(content)]


def best(content: Content) -> Written:
    """Returns the winner: its setting, its values with fresh seeds, its scores on the test split, and its ties."""
    found, winner, metric = content["best"], content.get("winner"), _metric(content)
    if not found:
        return None
    setting = [(name, value_text(value)) for name, value in found["hyperparameters"].items()]
    facts = [("trial", str(found["number"])), ("parameters", quantity("parameters", found["parameters"]))]
    lines: list[tuple[str, str, str]] = []
    if winner is not None:
        seeds = ", ".join(f"{_of(metric, value)}" for value in winner["values"][:NUMBERS])
        facts.append((f"with seeds {', '.join(map(str, winner['seeds'][:NUMBERS]))}", seeds))
        if is_finite(winner["value"].get("sd")):
            facts.append(("standard deviation of one seed", _of(metric, winner["value"]["sd"])))
        lines = [
            (label(name), quantity(name, each["value"]), _ends(name, each)) for name, each in winner["test"].items()
        ]
    words = "Means over the fresh seeds. The test split was opened once, for all of them, and chose nothing."
    return _section(
        "The best setting",
        "best",
        pairs(setting),
        pairs(facts),
        [tag("h3", "On the test split"), table(("metric", "mean", "95 % interval"), lines, words)] if lines else None,
        _ties(content),
    )


def _ties(content: Content) -> Written:
    """Returns the trials that noise does not tell from the winner, the simplest first."""
    numbers = (content.get("winner") or {}).get("ties", ())
    by_number = {trial["number"]: trial for trial in content["trials"]}
    tied = [by_number[number] for number in numbers if number in by_number]
    if len(tied) < 2:
        return None
    names = [scale.name for scale in scales(content)]
    lines = [_row(trial, names, content) for trial in tied[:SHOWN]]
    more = f" {len(tied) - SHOWN} more are in study.json." if len(tied) > SHOWN else ""
    words = f"{len(tied)} trials that noise does not tell from the best, the fewest parameters first.{more}"
    return [tag("h3", "As good"), tag("div", table(_heads(names, content), lines, words))]


def pictures(content: Content, drawn: Mapping[str, Any]) -> Written:
    """Returns all trials in two pictures."""
    return _section("All trials", "all", figures(content, drawn, "", "study-parallel", "study-curves"))


def hyperparameters(content: Content, drawn: Mapping[str, Any], importance: str) -> Written:
    """Returns which hyperparameters matter, and the objective against each."""
    names = [name for name in drawn if name.startswith("study-slice")]
    note = None if "study-importance" in drawn else tag("p", f"Importance: {importance}", class_="note")
    more = len(scales(content)) - SLICES
    rest = tag("p", f"{more} more hyperparameters are not drawn.", class_="note") if more > 0 else None
    return _section(
        "Each hyperparameter", "each", figures(content, drawn, importance, "study-importance", *names), note, rest
    )


def figures(content: Content, drawn: Mapping[str, Any], importance: str, *names: str) -> Written:
    """Returns pictures with what is to be seen in them; without names all that are drawn."""
    wanted = [name for name in names or drawn if name in drawn]
    return tag(
        "div", [figure(drawn, name, *_words(name, drawn, content, importance)) for name in wanted], class_="figures"
    )


def _words(name: str, drawn: Mapping[str, Any], content: Content, importance: str) -> tuple[str, str]:
    if name == "study-parallel":
        return "Settings", "A line is a trial, from its hyperparameters down to its objective."
    if name == "study-curves":
        return sentence_case(f"{_words_of(content['objective'])} of every trial"), "A line is a trial, epoch by epoch."
    if name == "study-importance":
        return "Importance", importance
    return drawn[name].get_xlabel(), f"{sentence_case(_words_of(content['objective']))} against it."


def trials(content: Content) -> Written:
    """Returns the table of trials, the best first."""
    names = [scale.name for scale in scales(content)]
    ordered = ranked(content)
    more = len(ordered) - SHOWN
    words = f"The best {SHOWN} of {len(ordered):,}; all are in study.csv." if more > 0 else "The best first."
    lines = [_row(trial, names, content) for trial in ordered[:SHOWN]]
    return _section("The trials", "trials", tag("div", table(_heads(names, content), lines, words)))


def ranked(content: Content) -> list[Mapping[str, Any]]:
    """Returns all trials: complete ones by their value, then pruned ones that came far, then those that failed."""
    finished = complete(content)
    done = {trial["number"] for trial in finished}
    others = [trial for trial in content["trials"] if trial["number"] not in done]

    def place(trial: Mapping[str, Any]) -> tuple[Any, ...]:
        value = cost(trial["value"], content["objective"]) if is_finite(trial["value"]) else 0.0
        return STATES.index(trial["state"]), -_epochs(trial), value, trial["number"]

    return [*finished, *sorted(others, key=place)]


def ended_early(content: Content) -> Written:
    """Returns the trials that were not trained to their end, by the reason."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for trial in content["trials"]:
        if trial["state"] != "complete":
            groups.setdefault((trial["state"], trial["stop_reason"]), []).append(trial)
    if not groups:
        return _section("What ended early", "early", tag("p", "Nothing: every trial was trained to its end."))
    ordered = sorted(groups.items(), key=lambda each: (STATES.index(each[0][0]), -len(each[1])))
    lines = [
        (sentence_case(f"{state}: {WHY[state]}"), reason, str(len(some)), _numbers(some), _time(some))
        for (state, reason), some in ordered[:SHOWN]
    ]
    more = len(groups) - SHOWN
    words = "By the reason." + (f" {more} more reasons are in study.csv." if more > 0 else "")
    return _section("What ended early", "early", tag("div", table(EARLY, lines, words)))


EARLY = ("how", "why", "trials", "which", "time")


def unexplored(content: Content) -> Written:
    """Returns for each hyperparameter what was searched, what was tried and what was left out."""
    lines = []
    for each in coverage(content):
        scale = each.scale
        if each.gap is None or each.gap_complete is None:
            missing = ", ".join(map(value_text, each.untried[:NUMBERS])) or "–"
            missing += f" and {len(each.untried) - NUMBERS} more" if len(each.untried) > NUMBERS else ""
            some = [f"{value_text(value)} ({how})" for value, how in each.unfinished[:NUMBERS]]
            lines.append((scale.name, _searched(scale), missing, ", ".join(some) or "–"))
        else:
            gaps = [
                f"{value_text(gap.low)} to {value_text(gap.high)} ({100 * gap.share:.0f} %)"
                for gap in (each.gap, each.gap_complete)
            ]
            lines.append((scale.name, _searched(scale), *gaps))
    if not lines:
        text = "The study does not say what its hyperparameters may be."
        return _section("What was never explored", "unexplored", tag("p", text))
    heads = ("hyperparameter", "searched", "in no trial", "in no complete trial")
    words = "Of lists the values; of intervals the largest empty part, and its share of the interval on its own scale."
    return _section("What was never explored", "unexplored", tag("div", table(heads, lines, words)))


def time_spent(content: Content) -> Written:
    """Returns where the time went: by how trials ended, and by task."""
    facts, every = content["facts"], content["trials"]
    known = [(words, name) for words, name in TIMES if is_finite(facts.get(name))]
    told = [(words, quantity(name, facts[name])) for words, name in known]
    total = sum(trial["seconds"] for trial in every)
    for state in STATES:
        some = [trial for trial in every if trial["state"] == state]
        if some and total > 0:
            share = f"{100 * sum(trial['seconds'] for trial in some) / total:.0f} %"
            told.append((f"in {len(some)} trials that were {state}", f"{_time(some)} ({share})"))
    tasks: dict[str, list[Mapping[str, Any]]] = {}
    for trial in every:
        tasks.setdefault(trial.get("task", ""), []).append(trial)
    lanes = facts.get("lanes") or {}
    ordered = sorted(tasks.items(), key=lambda each: -sum(trial["seconds"] for trial in each[1]))
    lines = [
        (name or "none", str(len(some)), str(lanes.get(name, "–")), _time(some), _ended(some))
        for name, some in ordered[:SHOWN]
    ]
    more = len(tasks) - SHOWN
    words = "By task: its trials shared a program. A trial that went on counts with all of its time where it ended."
    words += f" {more} more tasks are in study.json." if more > 0 else ""
    return _section(
        "Time spent", "time", pairs(told), table(("task", "trials", "lanes", "time", "of these"), lines, words)
    )


TIMES = (
    ("search, by the clock", "search_seconds"),
    ("of it compiling", "compile_seconds"),
    ("programs compiled", "programs"),
    ("largest program", "peak_bytes"),
)


def how(content: Content) -> Written:
    """Returns how the study was made: search, seeds, and what each hyperparameter was to the compiled program."""
    facts = content["facts"]
    listed = {name: facts[name] for name in LISTED_FACTS if facts.get(name) is not None}
    plans = [str(line) for line in facts.get("plan") or ()]
    lines = [*map(str, content.get("verdicts") or ()), *plans[:NUMBERS]]
    return _section(
        "How it was made",
        "how",
        pairs((name, text) for _, name, text in rows(listed)),
        folded("Programs and inputs", tag("ul", [tag("li", line) for line in lines], class_="evidence"))
        if lines
        else None,
    )


def _of_winner(content: Content) -> list[str]:
    """Returns what is to be said of luck, and of a simpler trial that is as good."""
    winner, found, metric = content.get("winner"), content["best"], _metric(content)
    if not found or best_number(content) is None:
        return []
    if winner is None:
        return [
            "The best was not trained anew, so how much of its value is luck is not known: vx.tune(..., retrain=5)."
        ]
    told, luck = [], winner["luck"]
    if is_finite(luck["low"]) and luck["low"] > 0:
        told.append(
            f"The search flattered the best by {_of(metric, luck['value'])} ({_interval(metric, luck)}), more than the "
            "noise of the seeds explains. Report the value with fresh seeds."
        )
    by_number = {trial["number"]: trial for trial in content["trials"]}
    simplest = by_number.get(next(iter(winner["ties"]), -1))
    if simplest is not None and simplest["parameters"] < found["parameters"]:
        told.append(
            f"Trial {simplest['number']} is as good as noise can tell, with {simplest['parameters']:,} parameters, not "
            f"{found['parameters']:,}: {_setting(simplest)}."
        )
    return told


def _row(trial: Mapping[str, Any], names: Iterable[str], content: Content) -> list[str]:
    given, value = trial["hyperparameters"], trial["value"]
    return [
        str(trial["number"]),
        _of(_metric(content), value) if is_finite(value) else "–",
        trial["state"] if trial["number"] != best_number(content) else f"{trial['state']}, best",
        *(value_text(given[name]) if name in given else "–" for name in names),
        str(_epochs(trial)),
        quantity("parameters", trial["parameters"]),
        quantity("time_seconds", trial["seconds"]),
    ]


def _heads(names: Iterable[str], content: Content) -> list[str]:
    return ["trial", content["objective"], "state", *names, "epochs", "parameters", "time"]


def _epochs(trial: Mapping[str, Any]) -> int:
    return max((len(seed) for seeds in trial["curves"].values() for seed in seeds), default=0)


def _searched(scale: Any) -> str:
    if scale.values is None:
        kind = f"{'whole ' if scale.whole else ''}{'logarithmic' if scale.log else ''}".strip()
        return f"{value_text(scale.low)} to {value_text(scale.high)}{f' ({kind})' if kind else ''}"
    more = len(scale.values) - NUMBERS
    return ", ".join(map(value_text, scale.values[:NUMBERS])) + (f" and {more} more" if more > 0 else "")


def _numbers(some: Sequence[Mapping[str, Any]]) -> str:
    more = len(some) - NUMBERS
    return ", ".join(str(trial["number"]) for trial in some[:NUMBERS]) + (f" and {more} more" if more > 0 else "")


def _time(some: Iterable[Mapping[str, Any]]) -> str:
    return quantity("time_seconds", sum(trial["seconds"] for trial in some))


def _ended(some: Sequence[Mapping[str, Any]]) -> str:
    counts = {state: sum(trial["state"] == state for trial in some) for state in STATES}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def _setting(trial: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value_text(value)}" for name, value in trial["hyperparameters"].items())


def _tile(name: str, value: str, *words: str) -> Markup:
    below = [tag("dd", text) for text in words]
    return tag("div", tag("dt", sentence_case(name)), tag("dd", value, class_="value"), below, class_="tile")


def _interval(metric: str, estimate: Mapping[str, Any]) -> str:
    ends = _ends(metric, estimate)
    return f"95 % interval {ends}" if ends != "–" else "no interval: it takes at least two seeds"


def _ends(metric: str, estimate: Mapping[str, Any]) -> str:
    if not (is_finite(estimate["low"]) and is_finite(estimate["high"])):
        return "–"
    return f"{_of(metric, estimate['low'])} to {_of(metric, estimate['high'])}"


def _of(metric: str, value: float) -> str:
    """Returns a value in the unit of its metric; a difference of shares may be negative."""
    return quantity(metric, float(value)) if value >= 0 else f"−{quantity(metric, -float(value))}"


def _metric(content: Content) -> str:
    return content["objective"].rpartition("/")[2]


def _words_of(metric: str) -> str:
    return metric.replace("_", " ").replace("/", " ")


def _section(title: str, name: str, *content: Written) -> Markup:
    return tag("section", tag("h2", title, id=name), content, class_="card", aria_labelledby=name)
