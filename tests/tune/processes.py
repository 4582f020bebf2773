"""Other processes that import Verax and the tests."""

import os
import subprocess
import sys
from pathlib import Path

import verax as vx

ROOT = Path(__file__).parents[2]


def import_path(*folders: Path) -> str:
    """Returns a PYTHONPATH of some folders, the tests and this Verax."""
    return os.pathsep.join(map(str, [*folders, ROOT, Path(vx.__file__).parents[1]]))


def started(program: str, *folders: Path) -> subprocess.Popen[str]:
    """Starts a program of some lines in a session of its own; it can import the modules in some folders."""
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": import_path(*folders)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
