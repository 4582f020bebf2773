"""All pages, by id and by group."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from verax.doctor.catalogue import (
    _activation,
    _data,
    _deployment,
    _evaluation,
    _gradient,
    _initialisation,
    _labels,
    _loss,
    _mode,
    _normalisation,
    _numerical,
    _optimizer,
    _performance,
    _prng,
    _refused,
    _refused_data,
    _regularisation,
    _structure,
)
from verax.doctor.catalogue._page import Page
from verax.findings import InputError, suggested

_FILES = (
    _data, _labels, _structure, _initialisation, _activation, _loss, _gradient, _optimizer, _regularisation,
    _normalisation, _prng, _mode, _numerical, _performance, _evaluation, _deployment, _refused_data, _refused,
)  # fmt: skip
_PAGES = {page.id: page for file in _FILES for page in file.PAGES}

GROUPS: Mapping[str, tuple[Page, ...]] = MappingProxyType({file.GROUP: file.PAGES for file in _FILES})


def pages() -> tuple[Page, ...]:
    """Returns all pages, group by group."""
    return tuple(_PAGES.values())


def page(id: str) -> Page:
    """Returns the page of a diagnosis.

    Args:
      id: of a finding.

    Raises:
      InputError: if there is no such diagnosis, with the one that was probably meant.

    Example:
      >>> page("double-softmax").fix
      'Return logits.'
    """
    if id not in _PAGES:
        raise InputError(f"unknown diagnosis {id!r}. {_hint(id)} `verax explain` lists them all.")
    return _PAGES[id]


def _hint(id: str) -> str:
    """Returns the id that was probably meant; all there are would fill the screen."""
    hint = suggested(id, _PAGES)
    return hint if hint.startswith("Did") else f"There are {len(_PAGES)}."
