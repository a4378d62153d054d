"""60 functions with two faults each."""

from typing import Any

from . import faults as f, faults_of_programs as p, models as m
from .build import case
from .case import Case

S, N = "BSNH", "BNSH"
BOTH_SEEN = (
    ("llama", m.LLAMA, "torch", N, f.INTERLEAVED, f.THETA_10000),
    ("gpt-j", m.GPTJ, "jax", S, f.HALVES, f.ONE_LATE),
    ("deepseek", m.DEEPSEEK, "torch", N, f.READS_HALF, f.NO_YARN),
    ("deepseek", m.DEEPSEEK, "jax", S, f.WRITES_INTERLEAVED, f.MSCALE),
    ("deepseek", m.DEEPSEEK, "numpy", S, f.READS_HALF, p.FREQUENCIES_BFLOAT16),
    ("phi-2", m.PHI2, "torch", N, f.WHOLE_HEAD, f.NEGATIVE, "", "bfloat16"),
    ("phi-2", m.PHI2, "numpy", N, f.AT_THE_END, f.LADDER_OF_HEAD),
    ("pythia", m.PYTHIA, "jax", S, f.TWICE_AS_WIDE, p.POSITIONS_BFLOAT16),
    ("pythia", m.PYTHIA, "torch", N, f.HALF_AS_WIDE, f.EXCHANGED),
    ("gemma 4", m.GEMMA4, "jax", S, f.LADDER_OF_PART, p.TABLE_BFLOAT16),
    ("gemma 4", m.GEMMA4, "torch", S, f.COMPACT, p.CLAMPED),
    ("gemma 3", m.GEMMA3_FULL, "numpy", S, f.THETA_10000, f.NO_SCALING),
    ("gemma 3", m.GEMMA3_SLIDING, "jax", S, f.THETA_LARGE, p.ANGLES_BFLOAT16),
    ("gemma 3", m.GEMMA3_FULL, "jax", S, p.SHARED_CACHE, f.INVERTED),
    ("llama 3.1", m.LLAMA31, "torch", N, f.NO_SCALING, p.FREQUENCIES_BFLOAT16),
    ("llama 3.1", m.LLAMA31, "numpy", N, f.FACTOR_32, p.WRAPPED, "", "bfloat16"),
    ("llama 3.1", m.LLAMA31, "jax table", S, f.NO_SCALING, p.NAN),
    ("llama 3.2", m.LLAMA32, "numpy", S, f.BANDS_EXCHANGED, f.THETA_10000),
    ("llama 3.2", m.LLAMA32, "torch complex", N, f.WHOLE_CONTEXT, f.INTERLEAVED),
    ("qwen yarn", m.QWEN_YARN, "torch", N, f.NO_YARN, f.THETA_10000),
    ("qwen yarn", m.QWEN_YARN, "jax", S, f.FACTOR_MISSING, p.FREQUENCIES_FLOAT16),
    ("qwen yarn", m.QWEN_YARN, "numpy", S, f.FACTOR_SQUARED, f.FACTOR_8),
    ("gpt-oss", m.GPT_OSS, "torch", N, f.TRUNCATED, f.FACTOR_MISSING, "", "float16"),
    ("gpt-oss", m.GPT_OSS, "jax", S, f.WHOLE_CONTEXT, f.FACTOR_SQUARED),
    ("vicuna", m.VICUNA, "jax", S, f.INVERTED, p.POSITIONS_BFLOAT16, "", "bfloat16"),
    ("dynamic ntk", m.DYNAMIC, "torch", N, f.INTERPOLATED, f.INTERLEAVED),
    ("dynamic ntk", m.DYNAMIC, "torch", N, p.NEVER_SHRINKS, f.NEGATIVE),
    ("dynamic ntk", m.DYNAMIC, "jax", S, f.CAPACITY, f.THETA_500),
    ("dynamic ntk", m.DYNAMIC, "numpy", S, p.FIRST_LENGTH, f.D_MINUS_2),
    ("phi-3", m.PHI3, "jax", S, f.NEVER_LONG, f.FACTOR_MISSING),
    ("phi-3", m.PHI3, "torch", N, f.ALWAYS_LONG, f.INTERLEAVED),
    ("phi-4", m.PHI4, "numpy", S, p.OUTSIDE_SCALED, f.FACTOR_SQUARED),
    ("phi-4", m.PHI4, "torch", N, f.HALF_AS_WIDE, f.NEVER_LONG),
    ("qwen2-vl", m.QWEN2_VL, "torch", N, f.SECTIONS_EXCHANGED, f.THETA_10000),
    ("kimi vision", m.KIMI_VISION, "jax", S, f.ROWS_FOR_COLUMNS, f.INTERLEAVED),
    ("qwen3-vl", m.QWEN3_VL, "numpy", S, f.CONSECUTIVE, p.FREQUENCIES_BFLOAT16),
    ("qwen3-vl", m.QWEN3_VL, "jax", S, f.LAST_TWO_EXCHANGED, p.ANGLES_BFLOAT16),
    ("llama 4 vision", m.LLAMA4_VISION, "torch", N, f.ROWS_FOR_COLUMNS, f.HALVES),
    ("pixtral", m.PIXTRAL, "numpy", S, f.ONE_COORDINATE, f.K_OVER_D, "", "float16"),
    ("cohere", m.COHERE, "torch complex", N, f.HALVES, p.SMEARED),
    ("cohere", m.COHERE, "jax", S, f.NEGATIVE, p.PRODUCTS_FLOAT16),
    ("llama", m.LLAMA, "jax", S, f.ONE_UP, p.FIRST_ROW),
    ("llama long", m.LLAMA_LONG, "torch", N, p.POSITIONS_BFLOAT16, p.TABLE_BFLOAT16),
    ("llama long", m.LLAMA_LONG, "jax table", S, p.CLAMPED, p.FREQUENCIES_BFLOAT16, "", "bfloat16"),
    ("mistral", m.MISTRAL, "numpy", N, p.ZERO, p.POSITIONS_FLOAT16),
    ("mistral", m.MISTRAL, "torch", N, f.FEW_DIGITS, p.FIRST_HEAD),
    ("mistral", m.MISTRAL, "jax", S, f.D_MINUS_2, p.TABLE_FLOAT16),
    ("mistral", m.MISTRAL, "numpy", S, p.CAPPED, p.FLOAT32_BACK, "", "bfloat16"),
    ("olmo", m.OLMO, "torch", N, p.POISONED, f.ONE_EARLY),
    ("glm-4", m.GLM4, "torch", N, p.OUTSIDE_ZERO, f.HALVES),
    ("glm-4", m.GLM4, "jax", S, f.ONE_SLOW_PAIR, p.FREQUENCIES_BFLOAT16),
    ("llama 80", m.LLAMA_80, "torch", S, f.PADDED, p.CONTINUES),
    ("llama 80", m.LLAMA_80, "numpy", N, p.ONE_SCALED, f.THETA_500),
    ("qwen2", m.QWEN2, "jax", S, p.FIRST_POSITIONS, f.INTERLEAVED),
    ("qwen2", m.QWEN2, "torch", N, p.NOT_GROWN, f.EXCHANGED),
)
ONE_HIDDEN = (
    ("llama 3.1", m.LLAMA31, "jax", S, f.FACTOR_32, f.NO_SCALING, "rule_parameter", "float32"),
    ("gpt-oss", m.GPT_OSS, "torch", N, f.FACTOR_SQUARED, f.NO_YARN, "attention_factor", "float32"),
    ("phi-2", m.PHI2, "torch", N, f.WHOLE_HEAD, p.OUTSIDE_ZERO, "pass_through", "float32"),
    (
        "mistral",
        m.MISTRAL,
        "torch",
        N,
        p.CLAMPED_256,
        p.POSITIONS_BFLOAT16,
        "positions_rounded",
        "float32",
    ),
    ("llama", m.LLAMA, "numpy", S, f.THETA_10000, p.TABLE_BFLOAT16, "table_rounded", "bfloat16"),
)


def pair(number: int, row: tuple[Any, ...]) -> Case:
    name, model, way, layout, *faults = row[:6]
    hidden, dtype = row[6:] or ("", "float32")
    names = " and ".join(" ".join(sorted(fault.readings[0])) for fault in faults)
    title = f"{number:02} {name}: {names}"
    return case(title, model, way, layout, *faults, hidden=hidden, dtype=dtype)


PAIRS = tuple(pair(number, row) for number, row in enumerate(BOTH_SEEN + ONE_HIDDEN, 1))
