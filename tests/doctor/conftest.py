"""Programs under examination promote types and ranks as JAX does by default; Verax's own code is held to more."""

import pytest

from verax.doctor._check import as_the_user_runs_it


@pytest.fixture(autouse=True)
def user_settings():
    with as_the_user_runs_it():
        yield
