"""The command line: a file a command, each parses, calls, prints and says how it went. Importing it imports no JAX."""

from verax.cli._main import main

__all__ = ["main"]
