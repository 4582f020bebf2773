"""`verax COMMAND ...`: finds the command, and turns what goes wrong into one screen of text and an exit code."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from verax import __version__
from verax.cli._arguments import parse
from verax.cli._errors import explain
from verax.findings import InputError

COMMANDS = {  # each on one line of a screen of 80 columns
    "demo": "digits, from data to a certificate: study, training, ten items",
    "train": "train the experiment that a Python file defines",
    "tune": "search hyperparameters by validation, train the winner anew",
    "evaluate": "score a run, or an exported model, with 95 % intervals",
    "certify": "measure the ten items of a run; write certificate and report",
    "export": "write a run's network as model.vx, which runs without its source",
    "predict": "say what a model makes of raw rows or pictures",
    "check": "look for faults in an experiment before it is trained",
    "diagnose": "say what is wrong with an experiment or a run; try repairs",
    "explain": "say what a diagnosis means; without an id, list them all",
    "lint": "hold JAX code to rules, without importing it; mend it",
    "gradcheck": "compare automatic gradients with finite differences, by leaf",
    "profile": "say where a training step's time goes, and the best batch size",
    "show": "describe a run, a model, a certificate or an experiment",
}
OWN_WORDS = ("lint",)  # reads its words itself, which is quicker
FILES = {"demo": "_demo_command"}  # _demo.py is its experiment
WELL, FOUND, MISUSED, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code.

    0 means all is well, 1 that something was found or failed, 2 that the command was misused, 130 that it was
    interrupted with Ctrl-C.

    Args:
      argv: the words after `verax`; those of this process if not given.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words)
    except SystemExit as end:  # the parser has printed its message
        return end.code if isinstance(end.code, int) else MISUSED
    except KeyboardInterrupt:
        print("Interrupted with Ctrl-C.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FOUND
    except Exception as error:
        text = None if os.environ.get("VERAX_TRACEBACK") else explain(error)
        if text is None:
            raise
        print(text, file=sys.stderr)
        return MISUSED


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help(), file=sys.stdout if words else sys.stderr)
        return WELL if words else MISUSED
    if words[0] in ("-V", "--version"):
        print(f"verax {__version__}")
        return WELL
    name, arguments = words[0], words[1:]
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(COMMANDS)}."
        raise InputError(f"unknown command {name!r}. {hint} See verax --help.")
    function = _command(name)
    if name in OWN_WORDS:
        return function(arguments)
    positional, named = parse(function, arguments, f"verax {name}")
    return function(*positional, **named)


def _command(name: str) -> Callable[..., int]:
    """Returns the function of a command, which lies in a file of its own."""
    found: Callable[..., int] = getattr(importlib.import_module(f"verax.cli.{FILES.get(name, f'_{name}')}"), name)
    return found


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {line}" for name, line in COMMANDS.items()]
    return "\n".join(
        [
            "usage: verax COMMAND ...",
            "",
            "Trains, checks and certifies neural networks written in JAX.",
            "",
            *lines,
            "",
            "verax COMMAND --help says what a command takes; verax train FILE.py --help lists the experiment's own",
            "hyperparameters. Exit code: 0 all is well, 1 something was found or failed, 2 misused.",
        ]
    )
