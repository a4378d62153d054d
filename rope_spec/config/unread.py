"""A rope-like key that nothing read is an error: it may decide the rotation."""

from collections.abc import Collection

from .families import harmless
from .keys import Keys
from .towers import Towers


def check_unread(towers: Towers, ignore: Collection[str]) -> None:
    """Raise ValueError for a rope-like key that nothing read, if it is not harmless or ignored."""
    ignore = checked_names(ignore)
    text = towers.text.keys
    objects = [(keys, towers.text.model_type) for keys in towers.around]
    objects += [(tower.keys, tower.model_type) for tower in towers.parts if not tower.refusal]
    unread = [
        (keys, key)
        for part, kind in objects
        for keys, key in part.unread()
        if not _is_harmless(keys, key, kind)
        and not (part is not text and _says_the_same(keys, text, key))
    ]
    left = [(keys.name, str(key)) for keys, key in unread if key not in ignore]
    if left:
        first, _ = left[0]
        keys = ", ".join(sorted({repr(key) for name, key in left if name == first}))
        raise ValueError(
            f"{first}: got {keys}, which nothing here reads, expected keys that are read or known "
            f"to change nothing. If these change nothing, pass ignore=({keys},), else describe "
            "what they do in families.toml."
        )
    if read := [key for key in ignore if any(keys.decides(key) for keys, _ in objects)]:
        raise ValueError(
            f"ignore: got {', '.join(map(repr, read))}, which decides the rotation, expected keys "
            "that nothing reads. Change its value in the config instead."
        )


def checked_names(ignore: Collection[str]) -> Collection[str]:
    """`ignore` itself; TypeError where it is not a collection of names."""
    names = ignore if isinstance(ignore, tuple | list | set | frozenset) else (None,)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f'ignore: got {ignore!r}, expected names of keys, such as ("some_key",).')
    return ignore


def _says_the_same(keys: Keys, text: Keys, key: str) -> bool:
    """Whether the text model has the same value under this key: some files repeat rope keys."""
    return key in text.values and keys.values[key] == text.values[key]


def _is_harmless(keys: Keys, key: str, model_type: str) -> bool:
    return any(entry.covers(key, keys.values[key], model_type) for entry in harmless())
