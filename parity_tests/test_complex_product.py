"""The trial of torch's complex product takes a right one, and refuses each wrong one."""

import importlib.util

import pytest
import torch

import rope_torch
from rope_parity.backends import array
from rope_parity.measure import compare
from rope_spec import Pairs, RopeSpec
from rope_torch.complex_product import _trial, has_bits_of_formula
from rope_torch.rotation import rotate_pairs

SPEC = RopeSpec(head_dim=64, theta=1e4, pairs=Pairs.single(rotary_dim=64), read="interleaved")
TIMES = (1, 4, 64, 32), (1, 64, 32), (1, 64, 32)  # pairs in x, and numbers in cos and sin
multiply = torch.mul


@pytest.fixture(autouse=True)
def no_trials_before_and_after():
    _trial.cache_clear()
    yield
    _trial.cache_clear()


def rotated(numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """By rope_torch and by the formula, each pair and each angle the same four numbers."""
    x, cos, sin = (t.repeat(n) for t, n in zip(numbers.split((2, 1, 1)), TIMES, strict=True))
    ours = rope_torch.rotate(SPEC, x.requires_grad_(), cos, sin)
    return ours.detach(), rotate_pairs(
        x.detach(), cos[:, None], sin[:, None], SPEC.channels, "float32"
    )


def same(left, right) -> bool:
    return compare(array(left), array(right), 1.0, 0.0).ok


def right(a, b, cos, sin):
    return a * cos - b * sin, b * cos + a * sin


def fused_real(a, b, cos, sin):
    return (a.double() * cos - (b * sin)).float(), b * cos + a * sin


def fused_imaginary(a, b, cos, sin):
    return a * cos - b * sin, (b * cos + a.double() * sin).float()


def rounded_once(a, b, cos, sin):
    a, b = a.double(), b.double()
    return (a * cos - b * sin).float(), (b * cos + a * sin).float()


def three_products(a, b, cos, sin):
    both = cos * (a + b)
    return both - b * (cos + sin), both + a * (sin - cos)


def as_c_has_it(a, b, cos, sin):
    real, imaginary = a * cos - b * sin, b * cos + a * sin
    infinite = a.isinf() | b.isinf() | cos.isinf() | sin.isinf()
    recovers = real.isnan() & imaginary.isnan() & infinite
    return torch.where(recovers, torch.inf, real), torch.where(recovers, torch.inf, imaginary)


def negated_difference(a, b, cos, sin):
    return -(b * sin - a * cos), b * cos + a * sin


WRONG = [fused_real, fused_imaginary, rounded_once, three_products, as_c_has_it]
WRONG += [negated_difference]
WHERE = {"everywhere": ..., "last of each row": (..., -1), "last": (-1, -1, -1), "one": (1, 5, 7)}


def planted(wrong, where):
    """torch.mul with another complex product at some places."""

    def mul(x, other, *, out=None):
        if out is None or not out.is_complex():
            return multiply(x, other, out=out)
        operands = [t.broadcast_to(out.shape)[where].clone() for t in (x, other)]
        multiply(x, other, out=out)
        out[where] = torch.complex(*wrong(*(part for t in operands for part in (t.real, t.imag))))
        return out

    return mul


def telling(wrong) -> torch.Tensor:
    """Four numbers of which a wrong product has other bits: zeros, ones, infinities, or drawn."""
    special = torch.cartesian_prod(*[torch.tensor([0.0, 1.0, torch.inf])] * 4)
    drawn = torch.randn((1000, 4), generator=torch.Generator().manual_seed(0))
    differs = lambda numbers: not same(torch.stack(wrong(*numbers)), torch.stack(right(*numbers)))
    return next(numbers for numbers in torch.cat([special, drawn]) if differs(numbers))


@pytest.mark.parametrize("where", WHERE.values(), ids=WHERE)
@pytest.mark.parametrize("wrong", WRONG)
def test_each_wrong_product_is_refused(wrong, where, monkeypatch):
    """The rotation has the bits of the formula all the same, and would not without the trial."""
    monkeypatch.setattr(torch, "mul", planted(wrong, where))
    x, rotation, y = torch.empty(3, 4, 64, 32, dtype=torch.complex64)
    assert not has_bits_of_formula(x, rotation, y) and not has_bits_of_formula(x, rotation, x)
    assert same(*rotated(telling(wrong)))
    monkeypatch.setattr("rope_torch.eager.has_bits_of_formula", lambda *operands: True)
    assert not same(*rotated(telling(wrong)))


def test_a_right_product_is_taken_after_one_trial(monkeypatch):
    """Of separate operations in each place; a second call of the same shape tries nothing again."""
    products, product = [], planted(right, ...)
    recorded = lambda *args, out=None: products.append(out) or product(*args, out=out)
    monkeypatch.setattr(torch, "mul", recorded)
    assert same(*rotated(torch.randn(4))) and _trial.cache_info().misses == 1
    products.clear()
    assert same(*rotated(torch.randn(4))) and _trial.cache_info().misses == 1
    assert [t.is_complex() for t in products if t is not None] == [True]


def test_another_address_is_another_trial():
    """Modulo a vector, where a loop may begin; an address that cannot be reproduced is refused."""
    memory, other = torch.empty(2, 4096, dtype=torch.complex64)
    for offset in (*range(8), 8, 16):
        has_bits_of_formula(memory[offset : offset + 1024], other[:1024], other[2048:3072])
    assert _trial.cache_info().misses == 8
    odd = torch.frombuffer(bytearray(4 + 8 * 1024), dtype=torch.complex64, offset=4)
    assert odd.data_ptr() % 8 and not has_bits_of_formula(odd, odd, odd)


def answer(monkeypatch, **settings: str) -> bool:
    """Of the module imported anew, in an environment with these settings."""
    spec = importlib.util.find_spec("rope_torch.complex_product")
    module = importlib.util.module_from_spec(spec)
    with monkeypatch.context() as patch:
        for name in ("OMP_DYNAMIC", "OMP_THREAD_LIMIT"):
            patch.delenv(name, raising=False)
        for name, value in settings.items():
            patch.setenv(name, value)
        spec.loader.exec_module(module)
    return module.has_bits_of_formula(*torch.empty(3, 1024, dtype=torch.complex64))


def test_a_varying_number_of_threads_is_refused(monkeypatch):
    """OpenMP may give fewer threads than torch asks for, and no trial says how many next time."""
    assert not answer(monkeypatch, OMP_DYNAMIC="TRUE")
    assert not answer(monkeypatch, OMP_THREAD_LIMIT="4")
    assert answer(monkeypatch, OMP_DYNAMIC="false") == answer(monkeypatch)
