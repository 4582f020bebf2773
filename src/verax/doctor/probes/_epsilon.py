"""An epsilon that outweighs the second moment: a rule meant to be free of scale that is not at these gradients."""

from __future__ import annotations

import numpy as np
import optax

from verax.doctor._probe import NotApplicable, Probe, Seen, Suspicion
from verax.doctor._subject import Subject
from verax.doctor.probes._rule import flat, rule_of, with_optimizer
from verax.findings import Finding

LINEAR = 0.7  # of an order of magnitude, for one of the gradient: half of it where epsilon equals the second moment
FREE = 0.05  # likewise where the rule is free of scale
ADVICE = "Leave epsilon at its default of 1e-8, or well below the root mean square of the gradients."


def look(subject: Subject) -> Seen:
    """Gives the optimizer a real gradient at many scales: at this one it should make no difference, if at large ones
    it does not."""
    rule = rule_of(subject)
    grads = flat(rule.walk[0].grads)
    if not np.isfinite(grads).all() or not grads.any():
        raise NotApplicable("the first gradient is zero or not finite.")
    sizes = rule.responses
    if not all(np.isfinite(list(sizes.values()))) or not all(sizes[power] > 0 for power in (-1, 0, 6, 7)):
        raise NotApplicable("the optimizer gives no updates to gradients of other scales.")
    here, far = np.log10(sizes[0] / sizes[-1]), np.log10(sizes[7] / sizes[6])
    compared = f"ten times the gradient makes {10**here:.2g} times the step here, {10**far:.2g} times at 1e6 times it"
    if here < LINEAR or far > FREE or rule.forgets(1e6):
        return Seen(compared)
    lost = sizes[7] / sizes[0]
    size = float(np.sqrt(np.mean(grads[grads != 0] ** 2)))
    said = f"epsilon outweighs gradients of size {size:.1e}: steps are 1/{lost:,.0f} of what the learning rate says."
    evidence = (
        f"step to a gradient of 0.1, 1, 10, 100 times the first: "
        f"{', '.join(f'{sizes[power]:.2e}' for power in (-1, 0, 1, 2))}",
        f"step to 1e7 times it: {sizes[7]:.2e}, and no larger beyond",
    )
    finding = Finding("adam-epsilon-too-large", "warning", said, ADVICE, None, "optimizer", evidence, 0.85)
    repair = with_optimizer(
        "gradients that outweigh epsilon", lambda optimizer: optax.chain(optax.scale(1e6), optimizer)
    )
    return Seen(compared, (), (Suspicion(finding, (repair,)),))


PROBES = (Probe("epsilon against gradients", ("adam-epsilon-too-large",), look),)
