"""Static rules over source text: purity, keys, compilation, current names, models and training, numbers.

Neither JAX nor the code that is checked is imported. `verax lint` is the same for a shell, and its `--list` names the
rules.
"""

from verax._modules import make_callable
from verax.lint._engine import Result, check_text, lint
from verax.lint._report import Edit, Fix, Report
from verax.lint._rule import Rule, all_rules, rule_of
from verax.lint._settings import Settings

__all__ = ["lint", "check_text", "all_rules", "rule_of", "Result", "Report", "Fix", "Edit", "Rule", "Settings"]

make_callable(__name__, lint)
