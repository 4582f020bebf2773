"""The Transformer: who sees whom, which tokens count, and how many parameters there are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.cases import count, init, numbers
from verax.models import Transformer

NANO = Transformer(layers=4, heads=4, width=128, context=64, vocabulary=65, bias=False)


def nanogpt_parameters(layers, width, context, vocabulary):
    """nanoGPT's `model.py` without biases, the output embedding tied, positions included."""
    attention, perceptron = width * 3 * width + width * width, 2 * width * 4 * width
    return vocabulary * width + context * width + layers * (2 * width + attention + perceptron) + width


def test_nanogpts_configuration_has_its_parameters():
    params = jax.eval_shape(NANO.init, jax.random.key(0), jnp.zeros((1, 64), jnp.uint8))["params"]
    assert count(params) == nanogpt_parameters(4, 128, 64, 65) == 804_096
    assert count(params) - count(params["positions"]) == 795_904  # nanoGPT prints this: 0.80M
    assert "bias" not in str(jax.tree.structure(params))
    untied = NANO.clone(tied=False)
    assert (
        count(jax.eval_shape(untied.init, jax.random.key(0), jnp.zeros((1, 64), int))["params"]) == 804_096 + 65 * 128
    )


def drawn(model, inputs):
    """A model with weights large enough for every path to show."""
    variables = init(model, inputs)
    moved = jax.tree.map(lambda leaf: leaf + 0.3 * jnp.asarray(numbers(*leaf.shape, seed=leaf.size)), variables)
    return jax.jit(lambda inputs: model.apply(moved, inputs))


TOKENS = np.random.default_rng(0).integers(1, 11, (2, 8)).astype(np.uint8)


@pytest.fixture(scope="module")
def causal():
    return drawn(Transformer(2, 2, 16, 8, vocabulary=11), TOKENS)


@pytest.mark.parametrize("place", [0, 3, 7])
def test_a_token_changes_no_output_before_it(causal, place):
    changed = TOKENS.copy()
    changed[:, place] = changed[:, place] % 10 + 1
    before, after = np.asarray(causal(TOKENS)), np.asarray(causal(changed))
    np.testing.assert_array_equal(before[:, :place], after[:, :place])
    assert (np.abs(before - after).max(axis=-1)[:, place:] > 1e-4).all()


def test_without_the_mask_a_token_changes_what_is_before_it():
    model = drawn(Transformer(2, 2, 16, 8, vocabulary=11, causal=False), TOKENS)
    changed = TOKENS.copy()
    changed[:, 7] = changed[:, 7] % 10 + 1
    assert (np.abs(np.asarray(model(TOKENS) - model(changed))).max(axis=-1)[:, :7] > 1e-4).all()


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint16, np.uint32])
def test_tokens_of_any_integer_type_give_the_same(causal, dtype):
    np.testing.assert_array_equal(causal(TOKENS), causal(TOKENS.astype(dtype)))


def test_a_shorter_sequence_gives_the_first_outputs(causal):
    np.testing.assert_allclose(causal(TOKENS[:, :5]), causal(TOKENS)[:, :5], rtol=1e-4, atol=1e-4)


def test_padding_counts_for_nothing():
    model = drawn(Transformer(1, 2, 16, 8, vocabulary=11, classes=3, padding=0), TOKENS)
    padded = TOKENS.copy()
    padded[:, 5:] = 0
    np.testing.assert_allclose(model(padded), model(TOKENS[:, :5]), rtol=1e-4, atol=1e-5)
    assert np.isfinite(model(np.zeros_like(TOKENS))).all()


def test_attention_is_the_textbooks():
    from verax.models import Attention

    attention, x = Attention(heads=2), numbers(1, 4, 6)
    variables = init_attention(attention, x)
    params = jax.tree.map(np.asarray, variables["params"])
    queries, keys, values = np.split(x[0] @ params["qkv"]["kernel"] + params["qkv"]["bias"], 3, axis=-1)
    gathered = []
    for head in (slice(0, 3), slice(3, 6)):
        weights = np.exp(queries[:, head] @ keys[:, head].T / np.sqrt(3))
        gathered.append(weights / weights.sum(axis=1, keepdims=True) @ values[:, head])
    expected = np.concatenate(gathered, axis=1) @ params["projection"]["kernel"] + params["projection"]["bias"]
    np.testing.assert_allclose(jax.jit(attention.apply)(variables, x)[0], expected, rtol=1e-4, atol=1e-5)


def init_attention(attention, x):
    variables = init(attention, x)
    return jax.tree.map(lambda leaf: leaf + 0.2 * jnp.asarray(numbers(*leaf.shape)), variables)


def test_branches_end_smaller_and_embeddings_are_small():
    model = Transformer(layers=2, heads=2, width=64, context=32, vocabulary=50)
    params = init(model, np.zeros((1, 4), np.int32))["params"]
    stds = {
        "tokens": params["tokens"]["embedding"].std(),
        "positions": params["positions"].std(),
        "qkv": params["block_1"]["attention"]["qkv"]["kernel"].std(),
        "projection": params["block_1"]["attention"]["projection"]["kernel"].std(),
        "mlp_out": params["block_1"]["mlp_out"]["kernel"].std(),
    }
    expected = [0.02, 0.02, 64**-0.5, (64 * 4) ** -0.5, (256 * 4) ** -0.5]
    np.testing.assert_allclose(list(map(float, stds.values())), expected, rtol=0.06)  # 2,048 numbers or more
    gpt2 = init(Transformer(1, 2, 32, 8, vocabulary=9, std=0.02), np.zeros((1, 4), np.int32))["params"]["block_0"]
    assert float(gpt2["mlp_in"]["kernel"].std()) == pytest.approx(0.02, rel=0.05)
    assert float(gpt2["mlp_out"]["kernel"].std()) == pytest.approx(0.02 / np.sqrt(2), rel=0.05)


def test_the_first_loss_of_a_language_model_is_that_of_a_guess():
    tokens = np.random.default_rng(0).integers(0, 65, (4, 32))
    model = Transformer(2, 2, 64, 32, vocabulary=65)
    variables = init(model, tokens)
    logits = jax.jit(model.apply)(variables, jnp.asarray(tokens))
    loss = -jnp.mean(
        jnp.take_along_axis(jax.nn.log_softmax(logits), jnp.asarray(np.roll(tokens, -1, 1))[..., None], -1)
    )
    assert float(loss) == pytest.approx(np.log(65), abs=0.1)
