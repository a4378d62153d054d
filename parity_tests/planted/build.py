"""From a model, a way of writing it and faults to a case."""

from collections.abc import Callable
from itertools import product
from typing import Any

from . import in_jax, in_numpy, in_torch
from .around import Make
from .case import Case, Function
from .fault import Fault
from .model import Model
from .steps import Steps

WAYS: dict[str, Make] = {
    "numpy": in_numpy.by_index,
    "torch": in_torch.module,
    "torch complex": in_torch.complex_numbers,
    "jax": in_jax.jitted,
    "jax table": in_jax.table,
}


def factory(model: Model, way: str, layout: str, faults: tuple[Fault, ...]) -> Callable:
    """What makes a fresh function with all these faults."""

    def fresh() -> Function:
        rope, make = model.rope, WAYS[way]
        steps: dict[str, Any] = {"layout": layout}
        for fault in faults:
            rope, make = fault.rope(rope), fault.program(make)
            steps |= fault.steps
        return make(rope, Steps(**steps))

    return fresh


def case(
    name: str,
    model: Model,
    way: str,
    layout: str,
    *faults: Fault,
    dtype: str = "float32",
    hidden: str = "",
    as_one: tuple[frozenset[str], ...] = (),
) -> Case:
    """A case; `as_one` are readings that name several faults as one."""
    each = product(*(fault.readings for fault in faults))
    combined = tuple(frozenset().union(*names) for names in each)
    return Case(
        name=name,
        framework=way.split()[0],
        layout=layout,
        factory=factory(model, way, layout, faults),
        config=model.config,
        label=model.label,
        head_dim=model.rope.head_dim,
        context=model.context,
        dtype=dtype,
        faults=(*combined, *as_one),
        hidden=frozenset(hidden.split()),
        how="; ".join(fault.how for fault in faults if fault.how),
        parts=tuple(factory(model, way, layout, (fault,)) for fault in faults),
        faults_of_parts=tuple(fault.readings for fault in faults),
        sound=factory(model, way, layout, ()),
        way=way,
        rope=model.rope,
    )
