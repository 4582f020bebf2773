"""Training speed of Verax and its peers on the same work, interleaved.

    python benchmarks/training.py [--rounds 9] [--tasks mlp32,gpt12] [--peers limit,keras] [--json OUT]

Every contender is a process of its own that is warmed up first and idle while another one runs. A round runs each peer
once, in shuffled order, with Verax before and after each; a peer is compared with the mean of these two, so that a busy
spell of the machine hits both. Keras, PyTorch and Lightning run in the environment of `--peers-python` (or
VERAX_PEERS_PYTHON), made from `peers-requirements.txt`. `--before CHECKOUT` runs Verax of another commit too, from a
checkout of it (`git worktree add CHECKOUT COMMIT`): whether it became slower, told on one machine in one hour.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MET = "Promised ratios: all met."
FOLDER = Path(__file__).parent / "_peers"
EPOCHS = {"mlp32": 1, "mlp128": 2, "cnn128": 1, "resnet64": 1, "gpt12": 1}  # a turn: a quarter of a second or more each
TITLES = {
    "mlp32": "MLP 784-128-64-10, batch 32",
    "mlp128": "MLP 784-128-64-10, batch 128",
    "cnn128": "CNN 32-64-256, batch 128",
    "resnet64": "residual network, 3 blocks of 16-32-64 with batch norm, 28x28, batch 64",
    "gpt12": "causal Transformer, 4 layers of 128 channels, context 64, batch 12 (a sample is a window)",
}
MLPS, CLASSIC = ("mlp32", "mlp128"), ("mlp32", "mlp128", "cnn128")


@dataclass(frozen=True)
class Contender:
    """Who takes part: a file in `_peers`, its arguments, whether it runs in the peers' environment, and where."""

    name: str
    title: str
    file: str
    arguments: tuple[str, ...] = ()
    foreign: bool = False
    at_least: float | None = None  # the ratio that Verax promises
    at_most: float | None = None  # likewise, where the contender is Verax with a network of another library
    tasks: tuple[str, ...] = CLASSIC
    checkout: str | None = None  # of another commit, whose files and sources are run in place of these


CONTENDERS = (
    Contender("verax", "Verax", "verax_peer.py", tasks=tuple(TITLES)),
    Contender(
        "limit",
        "limit: hand-written JAX, Verax's random bits",
        "limit.py",
        ("--prng=verax",),
        at_least=0.95,
        tasks=tuple(TITLES),
    ),
    Contender("limit-threefry", "limit with JAX's own code for them", "limit.py", ("--prng=threefry",), at_least=0.95),
    Contender("textbook", "textbook Flax Linen loop", "flax_textbook.py", at_least=1.1, tasks=tuple(TITLES)),
    Contender("verax-nnx", "Verax, the network in Flax NNX", "verax_peer.py", ("--nnx",), at_most=1 / 0.9, tasks=MLPS),
    Contender("nnx", "textbook Flax NNX loop, nnx.jit", "nnx_textbook.py", at_least=1.1, tasks=MLPS),
    Contender("keras", "Keras 3 on JAX, fit", "keras_jax.py", foreign=True, at_least=0.95),
    Contender(
        "keras-steps",
        "Keras 3 on JAX, steps_per_execution=40",
        "keras_jax.py",
        ("--steps-per-execution",),
        foreign=True,
        at_least=0.95,
    ),
    Contender("torch", "PyTorch eager, one thread", "torch_eager.py", foreign=True),
    Contender("lightning", "Lightning, everything off", "lightning_torch.py", foreign=True),
)


class Absent(Exception):
    """A contender that cannot take part, and why."""


class Worker:
    """A contender's process and the line to it; see `_peers/_worker.py`.

    Verax runs from the sources beside this file, whatever is installed; one with a checkout from that.
    """

    def __init__(self, contender: Contender, peers_python: str | None, **environment: str) -> None:
        folder = Path(contender.checkout) / "benchmarks" / "_peers" if contender.checkout else FOLDER
        own = {} if contender.foreign else {"PYTHONPATH": str(folder.parents[1] / "src")}
        python = peers_python if contender.foreign else sys.executable
        if python is None:
            raise Absent("no environment for peers: pass --peers-python or set VERAX_PEERS_PYTHON")
        if shutil.which(python) is None:
            raise Absent(f"no Python at {python}")
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in close()
        self._process = subprocess.Popen(
            [python, str(folder / contender.file), *contender.arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, bufsize=1,
            env={**os.environ, **own, **environment},
        )  # fmt: skip

    def ask(self, *words: Any) -> dict[str, Any]:
        """Returns the answer to a request.

        Raises:
          Absent: if the process ended instead, with the last line that it printed.
        """
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            print(*words, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            self._errors.seek(0)
            lines = [line.strip() for line in self._errors if line.strip()]
            raise Absent(lines[-1] if lines else "it ended without a word")
        return json.loads(answer.partition(" ")[2])

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    chosen = [each for each in CONTENDERS if each.name in options.peers or each.name == "verax"]
    if options.before:
        title = "Verax before: the checkout of --before"
        chosen.append(Contender("before", title, "verax_peer.py", tasks=tuple(TITLES), checkout=options.before))
    rows: list[dict[str, Any]] = []
    for task in options.tasks:
        rows += measure(
            task,
            [each for each in chosen if task in each.tasks],
            options.rounds,
            options.epochs or EPOCHS[task],
            options.peers_python,
        )
        print("\n" + table(task, [row for row in rows if row["task"] == task]), flush=True)
    print("\n" + (verdict := _verdict(rows)))
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if options.check and verdict != MET else 0


def _verdict(rows: Sequence[dict[str, Any]]) -> str:
    """Returns one line on the promised ratios; what could not be measured was not met."""
    kinds: dict[str, list[str]] = {"missed": [], "not measured": []}
    for row in rows:
        name = f"{row['task']} {row['contender']}"
        if _is_promised(row) and "met" not in row:
            kinds["not measured"].append(name)
        elif row.get("met") is False:
            kinds["missed"].append(f"{name} (×{row['ratio_median']:.2f})")
    if not any(map(_is_promised, rows)):
        return "Promised ratios: none is about these peers."
    parts = [f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names]
    return f"Promised ratios: {'; '.join(parts)}." if parts else MET


def _is_promised(row: Mapping[str, Any]) -> bool:
    return "at_least" in row or "at_most" in row


def measure(
    task: str, contenders: Sequence[Contender], rounds: int, epochs: int, peers_python: str | None
) -> list[dict[str, Any]]:
    """Returns a row for each contender: its speed and Verax's relative to it."""
    workers: dict[str, Worker] = {}
    versions: dict[str, dict[str, str]] = {}
    absent: dict[str, str] = {}
    try:
        for contender in contenders:
            try:
                worker = Worker(contender, peers_python)
                workers[contender.name] = worker
                versions[contender.name] = worker.ask("prepare", task)["versions"]
            except Absent as reason:
                absent[contender.name] = str(reason)
            _progress(f"{task}: {contender.name} {'absent' if contender.name in absent else 'ready'}")
        present = {name: worker for name, worker in workers.items() if name not in absent}
        speeds, ratios = _rounds(task, present, rounds, epochs)
    finally:
        for worker in workers.values():
            worker.close()
    return [
        {**_named(task, each), "absent": absent[each.name]}
        if each.name in absent
        else row(task, each, speeds[each.name], ratios[each.name]) | {"rounds": rounds, "versions": versions[each.name]}
        for each in contenders
    ]


def _rounds(
    task: str, workers: Mapping[str, Worker], rounds: int, epochs: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Returns the speeds of each contender in steps a second, and for each peer Verax's speed relative to it."""
    speeds: dict[str, list[float]] = {name: [] for name in workers}
    ratios: dict[str, list[float]] = {name: [] for name in workers}

    def run(name: str) -> float:
        answer = workers[name].ask("run", task, epochs)
        speeds[name].append(answer["steps"] / answer["seconds"])
        return speeds[name][-1]

    peers = [name for name in workers if name != "verax"]
    shuffle = random.Random(0).shuffle
    for number in range(rounds):
        shuffle(peers)
        before = run("verax") if "verax" in workers else None
        for name in peers:
            speed = run(name)
            if before is not None:
                after = run("verax")
                ratios[name].append((before + after) / 2 / speed)
                before = after
        _progress(f"{task}: round {number + 1} of {rounds}")
    return speeds, ratios


def row(task: str, contender: Contender, speeds: Sequence[float], ratios: Sequence[float]) -> dict[str, Any]:
    """Returns a contender's row, from its speeds in steps a second and Verax's speeds relative to them."""
    batch = int(task.lstrip("abcdefghijklmnopqrstuvwxyz"))
    made = _named(task, contender) | {
        "samples_per_second": batch * statistics.median(speeds),
        "samples_per_second_best": batch * max(speeds),
    }
    if ratios:
        made |= {"ratio_median": statistics.median(ratios), "ratio_low": min(ratios), "ratio_high": max(ratios)}
        if contender.at_least is not None:
            made |= {"met": made["ratio_median"] >= contender.at_least}
        if contender.at_most is not None:
            made |= {"met": made["ratio_median"] <= contender.at_most}
    return made


def _named(task: str, contender: Contender) -> dict[str, Any]:
    made: dict[str, Any] = {"task": task, "contender": contender.name, "title": contender.title}
    promised = {"at_least": contender.at_least, "at_most": contender.at_most}
    return made | {name: value for name, value in promised.items() if value is not None}


def table(task: str, rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows of one task as a Markdown table."""
    lines = [
        f"**{TITLES[task]}**, {max((each.get('rounds', 0) for each in rows), default=0)} rounds",
        "",
        "| | samples/s, median | best | Verax is faster by (median; range over rounds) | promised |",
        "|---|---:|---:|---|---|",
    ]
    for each in rows:
        if "absent" in each:
            lines.append(f"| {each['title']} | | | absent: {each['absent']} | |")
            continue
        ratio = bar = ""
        if "ratio_median" in each:
            ratio = "×{ratio_median:.2f} (×{ratio_low:.2f} to ×{ratio_high:.2f})".format(**each)
        if "met" in each:
            promise = f"≥ {each['at_least']}" if "at_least" in each else f"≤ {each['at_most']:.2f}"
            bar = f"{promise}: {'met' if each['met'] else 'MISSED'}"
        speeds = "{samples_per_second:,.0f} | {samples_per_second_best:,.0f}".format(**each)
        lines.append(f"| {each['title']} | {speeds} | {ratio} | {bar} |")
    return "\n".join(lines)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    peers = [each.name for each in CONTENDERS if each.name != "verax"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="how often each peer runs on each task (default: 9)")
    tasks = list(TITLES)
    parser.add_argument("--tasks", type=_names(tasks), default=tasks, help=f"of {','.join(tasks)} (default: all)")
    parser.add_argument("--peers", type=_names(peers), default=peers, help=f"of {','.join(peers)} (default: all)")
    parser.add_argument("--epochs", type=int, help="passes over the data a turn (default: by task)")
    parser.add_argument("--peers-python", default=os.environ.get("VERAX_PEERS_PYTHON"), help="Python of the peers")
    parser.add_argument(
        "--before",
        metavar="CHECKOUT",
        help="a checkout of another commit, to be compared with; one of this commit shows what the place is worth",
    )
    parser.add_argument("--json", metavar="OUT", help="write the rows to a file")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a promised ratio is missed")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or (options.epochs is not None and options.epochs < 1):
        parser.error(f"--rounds and --epochs must be at least 1, got {options.rounds} and {options.epochs}.")
    return options


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"must be of {', '.join(known)}, got {', '.join(unknown)}.")
        return names

    return parse


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
