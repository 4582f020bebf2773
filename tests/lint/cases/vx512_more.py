"""VX512 optimizer-state-discarded: more ways to lose it, and to keep it."""
import jax
import optax

tx = optax.chain(optax.clip(1.0), optax.adam(1e-3))
plain = optax.sgd(0.1)


def starred(params, grads_seq):
    opt_state = tx.init(params)
    for grads in grads_seq:
        updates, *_ = tx.update(grads, opt_state, params)  # expect: VX512
        params = optax.apply_updates(params, updates)
    return params


def while_loop(params, grad):
    state = tx.init(params)
    step = 0
    while step < 10:
        updates, new_state = tx.update(grad(params), state)  # expect: VX512
        params = optax.apply_updates(params, updates)
        step += 1
    return params


@jax.jit
def from_carry(carry, grads):
    params, opt_state = carry
    updates, _ = tx.update(grads, opt_state, params)  # expect: VX512
    return (optax.apply_updates(params, updates), opt_state), None


class Trainer:
    def __init__(self, optimizer, params):
        self.optimizer = optimizer
        self.opt_state = optimizer.init(params)

    def fit(self, params, grads_seq):
        for grads in grads_seq:
            updates, _ = self.optimizer.update(grads, self.opt_state, params)  # expect: VX512
            params = optax.apply_updates(params, updates)
        return params

    def fit_right(self, params, grads_seq):
        for grads in grads_seq:
            updates, self.opt_state = self.optimizer.update(grads, self.opt_state, params)
            params = optax.apply_updates(params, updates)
        return params


def unknown_optimizer(optimizer, params, opt_state, grads):
    updates, _ = optimizer.update(grads, opt_state, params)  # expect: VX512
    return optax.apply_updates(params, updates), opt_state


def through_name(params, grads_seq):
    opt_state = tx.init(params)
    for grads in grads_seq:
        result = tx.update(grads, opt_state, params)  # expect: VX512
        params = optax.apply_updates(params, result[0])
    return params


def kept_under_other_name(params, grads_seq):
    opt_state = tx.init(params)
    for grads in grads_seq:
        updates, new_state = tx.update(grads, opt_state, params)
        params, opt_state = optax.apply_updates(params, updates), new_state
    return params


def fresh_each_time(params, grads_seq):
    for grads in grads_seq:
        opt_state = tx.init(params)
        updates, _ = tx.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
    return params


def once(params, grads):
    opt_state = tx.init(params)
    updates, _ = tx.update(grads, opt_state, params)
    return optax.apply_updates(params, updates)


def without_state(params, grads_seq):
    state = plain.init(params)
    for grads in grads_seq:
        updates, _ = plain.update(grads, state)
        params = optax.apply_updates(params, updates)
    return params


def test_update(params, opt_state, grads):
    updates, _ = tx.update(grads, opt_state, params)
    assert optax.apply_updates(params, updates) is not None


def counters(counter, words, total):
    for word in words:
        _ = counter.update(word, total)
    return counter


def kept_in_dict(params, grads, state):
    updates, state["opt_state"] = tx.update(grads, state["opt_state"], params)
    return updates


def kept_whole(params, grads, opt_state):
    return tx.update(grads, opt_state, params)


def extragradient(params, opt_state, gradient):
    trial, _ = tx.update(gradient(params), opt_state, params)
    there = optax.apply_updates(params, trial)
    updates, opt_state = tx.update(gradient(there), opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def scanned(tx, params, state, batches, gradient):
    def body(carry, x):
        p, s = carry
        updates, _ = tx.update(gradient(p, x), s, p)  # expect: VX512
        return (optax.apply_updates(p, updates), s), None

    return jax.lax.scan(body, (params, state), batches)


def in_dict(optimizer, train, grads):
    updates, new = optimizer.update(grads, train["opt_state"], train["params"])  # expect: VX512
    train["params"] = optax.apply_updates(train["params"], updates)
    return train


def in_dict_right(optimizer, train, grads):
    updates, train["opt_state"] = optimizer.update(grads, train["opt_state"], train["params"])
    train["params"] = optax.apply_updates(train["params"], updates)
    return train
