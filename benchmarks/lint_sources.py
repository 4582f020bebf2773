"""Fetches the sources that the linter is judged and timed on: well-known libraries that use JAX, newest releases.

    python benchmarks/lint_sources.py FOLDER [--only flax,optax]

Downloads each package without its dependencies from the registry that pip is set up for, unpacks its Python files into
FOLDER/NAME, and prints versions and lines. Nothing of it is imported or run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

PACKAGES = (
    "flax", "optax", "dm-haiku", "equinox", "chex", "orbax-checkpoint", "numpyro", "distrax", "diffrax", "blackjax",
    "evosax", "gymnax", "brax", "jax", "rlax", "optimistix", "lineax", "objax", "tensorflow-probability",
)  # fmt: skip


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yields names and contents of the Python files of a wheel or a source archive."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():
                if name.endswith(".py"):
                    yield name, opened.read(name)
    else:
        with tarfile.open(archive) as opened:
            for each in opened:
                file = opened.extractfile(each) if each.isfile() and each.name.endswith(".py") else None
                if file is not None:
                    yield each.name.partition("/")[2], file.read()


def fetch(package: str, folder: Path) -> str:
    """Fetches a package into a folder and returns what came of it."""
    with tempfile.TemporaryDirectory() as downloads:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "-d",
            downloads,
        ]
        done = subprocess.run([*command, package], capture_output=True, text=True, check=False)
        archives = sorted(Path(downloads).iterdir())
        if done.returncode or not archives:
            last = done.stderr.strip().splitlines()
            return f"not fetched: {last[-1] if last else 'pip said nothing'}"
        files = lines = 0
        for name, content in members(archives[0]):
            parts = PurePosixPath(name).parts
            if ".." in parts or name.startswith("/"):
                continue
            target = folder / package / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            files, lines = files + 1, lines + content.count(b"\n")
        return f"{archives[0].name}: {files} files, {lines:,} lines"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where they are unpacked")
    parser.add_argument("--only", help="packages, with commas between (default: all)")
    options = parser.parse_args(arguments)
    for package in options.only.split(",") if options.only else PACKAGES:
        print(f"{package}: {fetch(package, options.folder)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
