"""VX509 clip-after-optimizer: more chains."""
import optax
from optax import adam, chain, clip_by_global_norm

clip = clip_by_global_norm(1.0)


def imported(lr):
    return chain(adam(lr), clip_by_global_norm(1.0))  # expect: VX509


def named(lr):
    tx = optax.adamw(lr)
    return optax.chain(tx, clip)  # expect: VX509




def accumulated(lr):
    return optax.MultiSteps(optax.chain(optax.lion(lr), optax.adaptive_grad_clip(0.01)), 4)  # expect: VX509


def inner(lr):
    return optax.chain(optax.chain(optax.zero_nans(), optax.adam(lr)), optax.clip(1.0))  # expect: VX509


def make(lr):
    return optax.adam(lr)


def made(lr):
    return optax.chain(make(lr), optax.clip(1.0))  # expect: VX509


def both(lr):
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(lr), optax.clip(0.1))


def first(lr):
    return optax.chain(optax.clip(1.0), optax.chain(optax.scale_by_adam(), optax.scale(-lr)))


def unknown(tx):
    return optax.chain(tx, optax.clip(1.0))


def halved():
    return optax.chain(optax.scale(0.5), optax.clip(1.0))


def per_group(lr, labels):
    return optax.multi_transform({"a": optax.chain(optax.clip(1.0), optax.adam(lr)), "b": optax.sgd(lr)}, labels)


def star_here(lr):
    return optax.chain(*[optax.lamb(lr), optax.clip(1.0)])  # expect: VX509


def star_of_name(lr):
    steps = (optax.adam(lr), optax.clip(1.0))
    return optax.chain(*steps)  # expect: VX509


def star_right(lr):
    return optax.chain(*[optax.clip(1.0), optax.lamb(lr)])
