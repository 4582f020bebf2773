"""What a command says on a terminal."""

import os
import pty
import subprocess
import sys


def said_on_a_terminal(*words: str) -> bytes:
    """Runs `verax` with some words, which must end well, and returns all that it wrote, control sequences too."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "verax", *words]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(command, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    said = b"".join(iter(lambda: _read(master), b""))
    os.close(master)
    assert process.wait() == 0, said
    return said


def _read(master: int) -> bytes:
    try:
        return os.read(master, 4096)
    except OSError:  # the other end is closed
        return b""
