"""VX502 train-mode-in-eval: more names, calls and flags."""
import functools

import jax
import jax.numpy as jnp


class Evaluator:
    def __init__(self, model):
        self.model = model

    def evaluate(self, variables, batch):
        return self.model.apply(variables, batch, is_training=True)  # expect: VX502

    async def validation_step(self, variables, batch):
        return self.model.apply(variables, batch, use_running_average=False)  # expect: VX502

    def training_step(self, variables, batch, key):
        return self.model.apply(variables, batch, is_training=True, rngs={"dropout": key})

    def _predict(self, variables, batch):
        forward = functools.partial(self.model.apply, train=True)  # expect: VX502
        return forward(variables, batch)


def make_eval_step(apply_fn):
    @jax.jit
    def step(variables, batch):
        return apply_fn(variables, batch, deterministic=False)  # expect: VX502

    return step


def evalStep(state, batch):
    return jax.vmap(lambda x: state.apply_fn(state.variables, x, train=True))(batch)  # expect: VX502


def run_inference(net, variables, x):
    logits, _ = net.apply(variables, x, training=True, mutable=["batch_stats"])  # expect: VX502
    return logits


def test_step(state, batch):
    return state.apply_fn(state.variables, batch, train=True)  # expect: VX502


def train_and_evaluate(state, batch, key):
    return state.apply_fn(state.variables, batch, train=True, rngs={"dropout": key})


def evaluate_loader(load):
    return load(split="test", train=True), load(deterministic=False)


def predict_uncertainty(model, variables, x, key):
    return model.apply(variables, x, train=True, rngs={"dropout": key})


def predict(model, variables, x, key):
    # Monte Carlo dropout: the masks stay on.
    return model.apply(variables, x, train=True, rngs={"dropout": key})


def predict_many(model, variables, x, keys):
    return jax.vmap(lambda k: model.apply(variables, x, train=True, rngs={"dropout": k}))(keys)


def test_model_in_train_mode(model, variables, x, key):
    assert jnp.all(jnp.isfinite(model.apply(variables, x, train=True, rngs={"dropout": key})))


def evaluate(model, variables, x, train=False):
    return model.apply(variables, x, train=train), model.apply(variables, x, train=False)


def evaluate_then_fit(state, batches):
    def eval_step(batch):
        return state.apply_fn(state.variables, batch, train=False)

    def train_step(batch, key):
        return state.apply_fn(state.variables, batch, train=True, rngs={"dropout": key})

    return [(eval_step(b), train_step(b, None)) for b in batches]


def interval_prediction_update(state, batch, key):
    return state.apply_fn(state.variables, batch, train=True, rngs={"dropout": key})


def retrieval_step(state, batch, key):
    return state.apply_fn(state.variables, batch, train=True, rngs={"dropout": key})


def predict_codes(model, variables, x, key):
    # The model samples its code only with train=True.
    return model.apply(variables, x, train=True, rngs={"dropout": key})


def infer_shapes(model, variables, x):
    return jax.eval_shape(lambda: model.apply(variables, x, train=True))
