"""VX510 update-without-params: more optimisers and receivers."""
import functools

import equinox as eqx
import jax
import optax
from flax.training.train_state import TrainState
from optax import adamw, chain, clip

schedule = optax.cosine_decay_schedule(1e-3, 100)


def make_optimizer(lr):
    return chain(clip(1.0), adamw(lr))


made = make_optimizer(schedule)
every = optax.MultiSteps(optax.lion(1e-3), every_k_schedule=2)
grouped = optax.multi_transform({"a": optax.adamw(1e-3), "b": optax.sgd(1e-3)}, lambda p: p)
injected = optax.inject_hyperparams(optax.adamw)(learning_rate=1e-3)
init_fn, update_fn = optax.adamw(1e-3)


def by_function(params, grads, state):
    updates, state = made.update(grads, state)  # expect: VX510
    return optax.apply_updates(params, updates), state


def wrapped(grads, state):
    return every.update(grads, state), grouped.update(grads, state)  # expect: VX510


def hyper(grads, state):
    return injected.update(grads, state, None)  # expect: VX510


def unpacked(grads, state):
    return update_fn(grads, state)  # expect: VX510


def jitted(params, grads, state):
    update = jax.jit(made.update)
    return update(grads, state)  # expect: VX510


class Trainer:
    def __init__(self, model):
        self.optim = optax.lamb(1e-3)
        self.state = self.optim.init(eqx.filter(model, eqx.is_array))

    def step(self, model, grads):
        updates, self.state = self.optim.update(grads, self.state)  # expect: VX510
        return eqx.apply_updates(model, updates)

    async def right(self, model, grads):
        updates, self.state = self.optim.update(grads, self.state, model)
        return eqx.apply_updates(model, updates)


def train(params, batches, grad):
    tx = optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(1e-2), optax.scale(-1e-3))
    state = tx.init(params)

    def step(carry, batch):
        params, state = carry
        updates, state = tx.update(grad(params, batch), state)  # expect: VX510
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (params, state), batches)


def right(params, grads, state, args, options):
    one = made.update(grads, state, params)
    two = made.update(grads, state, params=params)
    three = made.update(*args)
    four = made.update(grads, state, **options)
    return one, two, three, four


def chosen(name, grads, state):
    tx = optax.adamw(1e-3) if name == "adamw" else optax.adam(1e-3)
    return tx.update(grads, state)


def shadowed(made, grads, state):
    return made.update(grads, state)


def dictionary(settings, other):
    known = dict(a=1)
    known.update(settings, other=other)
    return known


def plain(params, grads, state):
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1e-3, momentum=0.9))
    return tx.update(grads, state), functools.reduce(dict.update, [params])
