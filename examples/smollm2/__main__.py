"""Run: `python -m examples.smollm2 "The capital of France is"`."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})

Prompt = Annotated[str, typer.Argument(help="The text that is continued.")]
Tokens = Annotated[int, typer.Option(min=1, help="How many tokens are generated.")]
Capacity = Annotated[
    int,
    typer.Option(
        min=16, help="Positions in the cache; when it is full, the older half is dropped."
    ),
]
Compare = Annotated[
    bool,
    typer.Option("--compare", help="Run transformers beside it, and mark the first difference."),
]


@app.command()
def main(
    prompt: Prompt, tokens: Tokens = 64, capacity: Capacity = 1024, compare: Compare = False
) -> None:
    """Continue a text with SmolLM2-135M-Instruct in Flax NNX, on rope_jax."""
    from . import reference, weights
    from .generate import generate

    console = Console(highlight=False)
    try:
        with console.status("reading the weights"):
            model, words = weights.load(), reference.tokenizer()
    except ModuleNotFoundError as error:
        raise typer.BadParameter(str(error)) from error
    ids = words(prompt)["input_ids"]
    list(generate(model, ids, 2, capacity))  # compiles
    console.print(f"[bold]{prompt}", end="")
    start, found, shown = time.perf_counter(), [], ""
    for token in generate(
        model, ids, tokens, capacity, frozenset() if compare else frozenset([words.eos_token_id])
    ):
        found.append(token)
        text = words.decode(found, skip_special_tokens=True)
        console.print(text[len(shown) :], end="", markup=False)
        shown = text
    ours = len(found) / (time.perf_counter() - start)
    console.print(f"\n\n[dim]{ours:.1f} tokens per second in Flax, jitted, float32")
    if compare:
        theirs = reference.load()
        start = time.perf_counter()
        expected = reference.generate(theirs, ids, tokens)
        console.print(
            f"[dim]{tokens / (time.perf_counter() - start):.1f} tokens per second by "
            "transformers' generate"
        )
        same = next(
            (i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), len(found)
        )
        if same == len(found):
            console.print(f"[green]all {same} tokens are the same")
        else:
            console.print(f"[red]the first {same} tokens are the same; then")
            console.print(
                f"  here:         {words.decode(found[same:])!r}\n"
                f"  transformers: {words.decode(expected[same:])!r}"
            )


if __name__ == "__main__":
    app()
