"""How many bytes a compiled TPU program moves to and from HBM, read from its text.

Each operation of the entry computation reads its operands once and writes its results once. What
lies in VMEM, `S(1)` in a layout, costs nothing. Where a fusion reads a part of an operand, the
whole of it is counted: then the figure is an upper bound.
"""

import re
from collections.abc import Iterator
from math import prod
from typing import NamedTuple

ARRAY = re.compile(r"(\w+)\[([\d,]*)\](?:\{([^}]*)\})?")
OPERATION = re.compile(r"\s*(ROOT )?%([\w.-]+) = (\(.*?\)|\S+) ([\w-]+)\((.*)")
MOVES_NOTHING = {"parameter", "bitcast", "constant", "tuple", "get-tuple-element", "after-all"}
HOLDS_OTHERS = {"while", "conditional", "call", "async-start"}
RESULT_OF = {"copy-start": 0, "slice-start": 1}  # which of the arrays in its tuple
REARRANGES = {"copy", "reshape", "transpose"}


class Operation(NamedTuple):
    """An operation of the entry computation; arrays as text, such as `f32[8,128]{1,0:T(8,128)}`."""

    opcode: str
    results: list[str]
    operands: list[str]
    is_root: bool


def moved(program: str) -> int:
    """The bytes that the whole program moves to and from HBM.

    Raises:
        ValueError: an operation holds others, as a loop does, so that its cost is not in its line.
    """
    return sum(map(_moved_by, operations(program)))


def required(program: str) -> int:
    """The bytes of the parameters and the results, as they are laid out: what has to be moved."""
    ends = (o for o in operations(program) if o.opcode == "parameter" or o.is_root)
    return sum(size(array) for o in ends for array in o.results)


def rearranged(program: str, least: int) -> list[str]:
    """Arrays of `least` bytes or more that are written to HBM in another order or place alone."""
    each = (o for o in operations(program) if o.opcode in REARRANGES)
    return [array for o in each for array in o.results if size(array) >= least]


def operations(program: str) -> Iterator[Operation]:
    """Those of the entry computation."""
    named: dict[str, list[str]] = {}
    for match in map(OPERATION.match, program[program.index("\nENTRY ") :].splitlines()):
        if match:
            root, name, results, opcode, rest = match.groups()
            operands = re.findall(r"%([\w.-]+)", rest.split("), ")[0])
            named[name] = [found[0] for found in ARRAY.finditer(results)]
            yield Operation(
                opcode, named[name], [a for o in operands for a in named[o]], bool(root)
            )


def size(array: str) -> int:
    """The bytes that an array takes in HBM, with the padding of its tiles."""
    dtype, shape, layout = ARRAY.fullmatch(array).groups(default="")
    if "S(" in layout:
        return 0
    lengths = [int(n) for n in shape.split(",") if n]
    minor_to_major = [int(axis) for axis in layout.split(":")[0].split(",") if axis]
    tile = re.search(r"T\(([\d,]+)\)", layout)
    for n, axis in zip(reversed(tile[1].split(",") if tile else []), minor_to_major, strict=False):
        lengths[axis] += -lengths[axis] % int(n)
    return prod(lengths) * _bits(dtype) // 8


def _bits(dtype: str) -> int:
    """`bf16` has 16, `f8e4m3fn` 8, and `pred` takes a byte."""
    number = re.match(r"[a-z]+(\d+)", dtype)
    return int(number[1]) if number else 8


def _moved_by(o: Operation) -> int:
    if o.opcode in HOLDS_OTHERS:
        raise ValueError(
            f"{o.opcode}: its bytes are in another computation, which is not read here"
        )
    if o.opcode in MOVES_NOTHING or o.opcode.endswith("-done"):
        return 0
    if not ("slice" in o.opcode or "copy" in o.opcode):
        return sum(map(size, o.results + o.operands))
    result = o.results[RESULT_OF.get(o.opcode, 0)]
    as_if_in_hbm = size(re.sub(r"S\(\d\)", "", result))  # a slice reads what it writes, no more
    return size(result) + (as_if_in_hbm if size(o.operands[0]) else 0)
