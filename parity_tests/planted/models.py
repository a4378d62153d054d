"""The published models in which faults are planted."""

from .coordinates import (
    gemma4_vision,
    interleaved_mrope,
    kimi_vision,
    llama4_vision,
    mrope,
    pixtral,
    vision,
)
from .model import cohere, glm4, gpt_neox, gptj, llama_like, nanochat, phi
from .scaled import deepseek, dynamic, gemma3, gemma4, linear, llama3, longrope, yarn

LLAMA = llama_like("llama", 128, 500000.0, 8192)
LLAMA_LONG = llama_like("llama", 128, 1000000.0, 131072)
LLAMA_80 = llama_like("llama", 80, 10000.0, 4096)
MISTRAL = llama_like("mistral", 128, 1000000.0, 32768)
QWEN2 = llama_like("qwen2", 64, 1000000.0, 32768)
OLMO = llama_like("olmo2", 112, 500000.0, 65536)
COHERE = cohere(8000000.0, 131072)
NANOCHAT = nanochat(128, 4096)
GPTJ = gptj(256, 64, 2048)
GLM4 = glm4(10000.0, 131072)
PHI2 = phi(80, 0.4, 10000.0, 2048)
PYTHIA = gpt_neox(256, 0.25, 2048)

LLAMA31 = llama3(128, 500000.0, 8.0, 1.0, 4.0, 8192, 131072)
LLAMA32 = llama3(64, 500000.0, 32.0, 1.0, 4.0, 8192, 131072)
VICUNA = linear(128, 10000.0, 4.0, 16384)
DYNAMIC = dynamic(64, 10000.0, 4.0, 2048, 16384)
QWEN_YARN = yarn(128, 1000000.0, 4.0, 32768, 131072)
GPT_OSS = yarn(64, 150000.0, 32.0, 4096, 131072, truncate=False)
DEEPSEEK = deepseek(40.0, 1.0, 1.0, 131072)
PHI3 = longrope(96, 1.0, 63.0, 131072)
PHI4 = longrope(128, 0.75, 63.0, 131072)
GEMMA3_FULL = gemma3("full_attention", 1000000.0, 10000.0, 8.0, 131072)
GEMMA3_SLIDING = gemma3("sliding_attention", 1000000.0, 10000.0, 8.0, 131072)
GEMMA4 = gemma4(512, 131072)

QWEN2_VL = mrope(1000000.0, (16, 24, 24), 32768)
QWEN3_VL = interleaved_mrope(5000000.0, 131072)
QWEN_VISION = vision(80, 1024)
PIXTRAL = pixtral(10000.0, 1024)
LLAMA4_VISION = llama4_vision(88, 512)
KIMI_VISION = kimi_vision(72, 512)
GEMMA4_VISION = gemma4_vision(1024)
