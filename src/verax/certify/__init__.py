"""The ten items before deployment, each measured, and the certificate that they add up to."""

from verax._modules import make_callable
from verax.certify._certificate import ITEMS, Certificate, Outcome
from verax.certify._certify import certify, outcomes
from verax.certify._details import Details
from verax.certify._evidence import Evidence, evidence_from_run
from verax.certify._ledger import open_test
from verax.certify._overlap import Overlap, overlap
from verax.train._limits import DEFAULTS

__all__ = [
    "DEFAULTS",
    "ITEMS",
    "Certificate",
    "Details",
    "Evidence",
    "Outcome",
    "Overlap",
    "certify",
    "evidence_from_run",
    "open_test",
    "outcomes",
    "overlap",
]

make_callable(__name__, certify)
