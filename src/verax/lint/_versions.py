"""For which releases a file is written: what it may use, and what is stale in it.

A name that release R took away is stale if the project lets R or a later release be installed: the newest release that
is allowed decides. That is the one that `--target-jax` names; else the newest that satisfies the project's own
requirement (`jax>=0.4.20,<0.6` allows up to 0.5.3); else the newest that the tables know. What only the last few
releases took away is a warning then, for the program may run on one before them. A lower limit does not make a name
stale, but a fix is safe only if what it writes exists in the oldest release that is allowed.

The engine sets `module.known["target_jax"]` (a version or None) and `module.known["requirements"]` (by distribution,
limits such as `("<", "0.6")`).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from verax.lint._module import Module
from verax.lint._tables import table, version

DISTRIBUTIONS = {"haiku": "dm-haiku", "orbax": "orbax-checkpoint"}
RECENT = 5  # releases that a project may not have come to, if it does not say so
Limits = tuple[tuple[str, str], ...]


class Target(NamedTuple):
    """The releases of a package that a project allows.

    Attributes:
      oldest: the oldest, or None where nothing limits it.
      newest: the newest that the tables know.
      recent: the first of the last few, where no upper limit says that the project has come to them; else None.
      is_beyond: whether only releases are allowed that the tables do not know.
    """

    oldest: str | None
    newest: str
    recent: str | None = None
    is_beyond: bool = False

    def has(self, release: str | None) -> bool:
        """Returns whether a change that came with a release has come to the newest that is allowed."""
        return release is not None and version(release) <= version(self.newest)

    def surely_has(self, release: str | None) -> bool:
        """Returns whether a change has come, and not only to releases that the project may not use yet."""
        return self.has(release) and (self.recent is None or version(release or "") < version(self.recent))

    def always_has(self, release: str | None) -> bool:
        """Returns whether a change that came with a release has come to all that are allowed."""
        return release is not None and (self.oldest is None or version(release) <= version(self.oldest))


def target(module: Module, package: str) -> Target:
    """Returns the releases of a package for which a module is written."""
    named = module.known.get("target_jax") if package == "jax" else None
    if named:
        return _allowed(package, (("==", str(named)),))
    requirements = module.known.get("requirements") or {}
    return _allowed(package, tuple(map(tuple, requirements.get(DISTRIBUTIONS.get(package, package), ()))))


@functools.lru_cache(maxsize=64)
def _allowed(package: str, limits: Limits) -> Target:
    releases = table(package).releases
    allowed = [each for each in releases if all(_satisfies(each, *limit) for limit in limits)]
    has_lower = any(sign[0] in ">=~" for sign, _ in limits)
    has_upper = any(sign[0] in "<=~" for sign, _ in limits)
    if allowed:
        return Target(allowed[0] if has_lower else None, allowed[-1], None if has_upper else releases[-RECENT])
    exact = [each for sign, each in limits if sign in ("==", "===")]
    if exact:  # a release that was not read
        return Target(exact[0], exact[0], None, version(exact[0]) > version(releases[-1]))
    lower = [each for sign, each in limits if sign in (">", ">=", "~=")]
    if lower and version(lower[0]) > version(releases[-1]):
        return Target(lower[0], releases[-1], None, True)
    upper = [each for sign, each in limits if sign in ("<", "<=")]
    before = [each for each in releases if upper and version(each) <= version(upper[0])]
    newest = before[-1] if before else releases[0]
    return Target(lower[0] if lower else None, newest)


def _satisfies(release: str, sign: str, limit: str) -> bool:
    one, other = version(release), version(limit)
    match sign:
        case "==" | "===":
            return one == other
        case "!=":
            return one != other
        case "<":
            return one < other
        case "<=":
            return one <= other
        case ">":
            return one > other
        case ">=":
            return one >= other
        case _:  # ~=: the same but for the last part
            return one >= other and one[: limit.count(".")] == tuple(map(int, limit.split(".")))[: limit.count(".")]
