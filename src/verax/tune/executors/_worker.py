"""A worker: `python -m verax.tune.executors._worker IN OUT` answers tasks, line by line, until there are no more.

IN and OUT are descriptors beside the standard streams, so what the user's code prints does no harm.
"""

from __future__ import annotations

import os
import queue
import sys
import threading

from verax.tune.executors._remote import answer


def main(given: int, wanted: int) -> None:
    """Answers tasks until the input ends."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(given, waiting), daemon=True).start()
    with os.fdopen(wanted, "w", encoding="utf-8") as answers:
        while True:
            answers.write(answer(waiting.get()) + "\n")
            answers.flush()


def _read(given: int, waiting: queue.SimpleQueue[str]) -> None:
    """Reads ahead, so that the end of the input, which is that of the study, ends this process amid a task too."""
    with os.fdopen(given, encoding="utf-8") as requests:
        for line in requests:
            waiting.put(line)
    os._exit(0)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
