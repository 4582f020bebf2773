"""The pytest plugin: a fixture that checks a loss. Pytest loads this file at each start: it imports nothing more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def verax_check() -> Callable[..., None]:
    """A function that fails the test with what `vx.debug.check_loss` finds wrong with a loss.

    `verax_check(loss, params, *args)` for a plain function, or `verax_check(objective, batch, network=network)`: values
    and gradients finite, gradients right and present, the function pure, random keys used once.
    """

    def check(*args: Any, **settings: Any) -> None:
        __tracebackhide__ = True
        from verax.debug import check_loss

        findings = check_loss(*args, **settings)
        if findings:
            pytest.fail("\n".join(["verax found:", *map(str, findings)]), pytrace=False)

    return check
