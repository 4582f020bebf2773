"""The catalogue of diagnoses: a page for every id that a finding may have.

It needs nothing but the standard library, so that `verax explain` is instant.
"""

from verax.doctor.catalogue._page import PROOFS, Page
from verax.doctor.catalogue._pages import GROUPS, page, pages

__all__ = ["Page", "page", "pages", "GROUPS", "PROOFS"]
