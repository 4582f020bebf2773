"""VX508 misplaced-weight-decay: chains through names, functions and stars."""
import optax
from optax import adam, add_decayed_weights, chain
from optax import transforms

decay = optax.add_decayed_weights(1e-4)
learning_rate = 1e-3


def imported(lr):
    return chain(add_decayed_weights(0.1), adam(lr))  # expect: VX508


def named_parts(lr):
    return optax.chain(decay, optax.rmsprop(lr))  # expect: VX508


def masked(lr, mask):
    return optax.chain(optax.masked(optax.add_decayed_weights(1e-4), mask), optax.adam(lr))  # expect: VX508


def starred(lr):
    parts = [optax.clip(1.0), optax.add_decayed_weights(1e-4), optax.scale_by_adam(), optax.scale(-lr)]
    return optax.chain(optax.zero_nans(), decay, optax.chain(optax.scale_by_rms(), optax.scale(-1e-3)))  # expect: VX508


def base(lr):
    return optax.chain(optax.scale_by_adam(), optax.scale_by_learning_rate(lr))


def by_function(lr):
    return optax.chain(base(lr), optax.add_decayed_weights(1e-4))  # expect: VX508


def injected(lr):
    tx = optax.inject_hyperparams(optax.adam)(learning_rate=lr)
    return optax.chain(optax.add_decayed_weights(1e-4), tx)  # expect: VX508


def after_sgd(lr):
    return optax.chain(
        optax.sgd(lr, momentum=0.9),
        optax.add_decayed_weights(weight_decay=1e-4),  # expect: VX508
    )


def named(lr):
    return optax.named_chain(("decay", optax.add_decayed_weights(1e-4)), ("adam", optax.adam(lr)))  # expect: VX508


class Config:
    def build(self):
        self.decay = optax.add_decayed_weights(1e-4)
        return optax.chain(self.decay, optax.adam(1e-3))  # expect: VX508


def sign_at_the_end(lr):
    return optax.chain(optax.scale_by_adam(), optax.scale(lr), optax.add_decayed_weights(1e-4), optax.scale(-1.0))


def twice_negative(lr):
    return optax.chain(optax.scale_by_learning_rate(lr), optax.add_decayed_weights(-1e-4 * lr))


def momentum(lr):
    return optax.chain(optax.add_decayed_weights(1e-4), optax.trace(0.9), optax.scale(-lr))


def lamb_like(lr):
    return optax.chain(
        optax.scale_by_adam(), optax.add_decayed_weights(1e-4), optax.scale_by_trust_ratio(), optax.scale(-lr)
    )


def unknown_parts(first, lr):
    return optax.chain(first, optax.add_decayed_weights(1e-4), optax.sgd(lr))


def other_chain(chain, lr):
    return chain(optax.add_decayed_weights(1e-4), optax.adam(lr))


def schedule_unknown(schedule):
    return optax.chain(optax.scale_by_adam(), optax.scale_by_schedule(schedule), optax.add_decayed_weights(1e-4))


def star_here(lr):
    return optax.chain(*[optax.add_decayed_weights(0.1), optax.rmsprop(lr)])  # expect: VX508


def star_of_name(lr):
    steps = [optax.add_decayed_weights(0.1), optax.adam(lr)]
    return optax.chain(*steps)  # expect: VX508


def star_right(lr):
    steps = [optax.scale_by_adam(), optax.add_decayed_weights(0.1), optax.scale(-lr)]
    return optax.chain(*steps)
