"""The command: `rope-parity`, or `python -m rope_parity`."""

from __future__ import annotations

from . import INSTALL

EXTRA = {
    "jax",
    "jinja2",
    "matplotlib",
    "ml_dtypes",
    "mpmath",
    "rich",
    "torch",
    "transformers",
    "typer",
}


def main() -> None:
    """Run the command. Where a module of the extra is missing, say how to install it."""
    try:
        from .command import app

        app()
    except ImportError as error:
        if not _is_about_the_extra(error):
            raise
        raise SystemExit(f"rope-parity: {error}. The command needs: {INSTALL}") from error


def _is_about_the_extra(error: BaseException | None) -> bool:
    """Whether this error, or one that led to it, names a module of the extra."""
    if error is None:
        return False
    module = str(getattr(error, "name", None)).split(".")[0]
    return module in EXTRA or _is_about_the_extra(error.__cause__ or error.__context__)


if __name__ == "__main__":
    main()
