"""A golden function for many chips: at once on stacked values, or one by one, with the same result."""

import functools

import pytest
import torch
import ttnn

from ttnn_emulator import ops, padding  # noqa: F401  ops attaches golden functions
from ttnn_emulator import per_chip as module
from ttnn_emulator.per_chip import per_chip
from ttnn_emulator.shards import Shards


def shards(count: int, *shape: int, each: int = 1) -> Shards:
    """So many different values, each on `each` chips one after the other."""
    values = [torch.randn(shape) for _ in range(count)]
    return Shards.of([value for value in values for _ in range(each)])


def outcome(golden, *inputs: Shards, chips: int = 32, name: str = "") -> list[list[torch.Tensor]]:
    """Of each output the values by chip, at once if that can be; then the same one by one, which must be equal.

    On a stack, which is what a name asks for, but for the last bit: torch adds up in another order there, and takes
    other exponentials at the end of a vector.
    """
    equal = functools.partial(torch.allclose, rtol=1e-5, atol=1e-6) if name else torch.equal
    arguments = lambda row: (row, {})
    found = [list(output) for output in per_chip(golden, arguments, list(inputs), chips, name)]
    rows = zip(*map(list, inputs))
    wanted = [module.torch_tensors_in(golden(*row)) for row in rows]
    for output, want in zip(found, zip(*wanted), strict=True):
        assert all(equal(a, b) for a, b in zip(output, want, strict=True))
    return found


@pytest.fixture
def calls(monkeypatch):
    """A list of the shapes that golden functions are called with."""
    monkeypatch.setattr(module, "one_by_one", set())
    return []


def counted(calls, function):
    def golden(*values):
        calls.append(tuple(values[0].shape))
        return function(*values)

    return golden


def test_small_calls_are_made_at_once(calls):
    """Tokens over eight chips and columns over four: 32 different products, one call; it sees one chip's shapes."""
    x, w = shards(8, 1, 1, 5, 7, each=4), Shards.of([value for _ in range(8) for value in W])
    per_chip(counted(calls, torch.matmul), lambda row: (row, {}), [x, w], 32)
    assert calls == [(1, 1, 5, 7)]
    found = outcome(torch.matmul, x, w)
    assert len({id(value) for value in found[0]}) == 32


W = [torch.randn(1, 1, 7, 3) for _ in range(4)]


@pytest.fixture
def unmapped(monkeypatch):
    """torch.vmap fails, so what is at once is so without it."""
    monkeypatch.setattr(torch, "vmap", None)


@pytest.mark.parametrize("name", sorted(module.NUMBER_BY_NUMBER))
def test_number_by_number_on_a_stack(name, calls, unmapped):
    """Some operands the same on all chips, and broadcast within a chip; each result is what one chip alone gets."""
    op = getattr(ttnn, name.removeprefix("ttnn."))
    assert padding.is_elementwise(op), "in another module of ttnn's it may look at places"
    x, y = shards(16, 1, 3, 5, 7, each=2), shards(1, 1, 3, 1, 7, each=32)
    inputs = [x] if name in ("ttnn.silu", "ttnn.gelu", "ttnn.tanh") else [x, y]
    (found,) = outcome(counted(calls, op.golden_function), *inputs, name=name)
    assert calls[0] == (16, 1, 3, 5, 7) and found[0] is found[1] and found[1] is not found[2]


@pytest.mark.parametrize("matrices", [1, 16])
def test_heads_on_a_stack(matrices, calls, unmapped):
    """Their golden functions count dimensions from the end; each result is what one chip alone gets."""
    experimental = ttnn.experimental
    fused, heads = shards(16, 2, 1, 5, 3 * 4 * 7, each=2), shards(16, 2, 3, 5, 7, each=2)
    create = functools.partial(experimental.nlp_create_qkv_heads.golden_function, num_heads=4)
    outcome(counted(calls, create), fused, name="ttnn.experimental.nlp_create_qkv_heads")
    assert calls[0] == (16, 2, 1, 5, 3 * 4 * 7) and len(calls) == 1 + 32
    calls.clear()
    outcome(
        counted(calls, experimental.nlp_concat_heads.golden_function), heads, name="ttnn.experimental.nlp_concat_heads"
    )
    assert calls[0] == (16, 2, 3, 5, 7) and len(calls) == 1 + 32
    calls.clear()
    turned = shards(16, 2, 3, 5, 64, each=2), shards(32, 1, 3, 6, 64), shards(4, 1, 3, 6, 64, each=8)
    swaps = [-torch.eye(32)[torch.randperm(32)][None, None] for _ in range(matrices)]  # no sums: equal to the last bit
    turn = Shards.of([swap for swap in swaps for _ in range(32 // matrices)])
    golden = experimental.rotary_embedding_llama.golden_function
    outcome(counted(calls, golden), *turned, turn, name="ttnn.experimental.rotary_embedding_llama")
    assert calls[0] == (32, 2, 3, 5, 64) and len(calls) == 1 + 32


def test_operands_of_two_ranks_are_mapped(calls):
    """(16, 3, 5) + (16, 5) would add what belongs to other chips."""
    x, y = shards(16, 16, 5, each=2), shards(16, 5, each=2)
    outcome(counted(calls, ttnn.add.golden_function), x, y, name="ttnn.add")
    assert calls[0] == (16, 5)


def over_columns(count: int, *shape: int) -> Shards:
    """So many different values over the columns of a mesh of 8 x 4 chips."""
    values = [torch.randn(shape) for _ in range(count)]
    return Shards.of([values[chip % count] for chip in range(32)])


@pytest.mark.parametrize("name", ["ttnn.layer_norm", "ttnn.rms_norm"])
@pytest.mark.parametrize("first, second", [(8, 4), (32, 4), (8, 1), (32, 1)])
def test_along_the_last_dimensions_of_the_first(name, first, second, calls, unmapped):
    """Tokens over eight rows of chips, weights over four columns: a call for each weight."""
    golden = getattr(ttnn, name.removeprefix("ttnn.")).golden_function
    x, w = shards(first, 1, 2, 5, 7, each=32 // first), over_columns(second, 1, 1, 1, 7)
    (found,) = outcome(counted(calls, lambda x, w: golden(x, weight=w)), x, w, name=name)
    assert calls[:second] == [(8 if second == 4 else first, 1, 2, 5, 7)] * second and len(calls) == second + 32
    assert len({id(value) for value in found}) == max(first, 8 * second)


@pytest.mark.parametrize("name", sorted(module.PRODUCTS))
@pytest.mark.parametrize("first, second", [(8, 4), (32, 4), (8, 1), (32, 1), (1, 4), (1, 2), (32, 32)])
def test_products_are_made_by_one_call(name, first, second, calls, unmapped):
    """Rows that meet one matrix stand below each other, and matrices side by side; a row may be added to each."""
    golden = getattr(ttnn, name.removeprefix("ttnn.")).golden_function
    x, w = shards(first, 1, 2, 5, 7, each=32 // first), over_columns(second, 1, 1, 7, 3)
    different = len(set(zip(x.which, w.which)))
    (found,) = outcome(counted(calls, golden), x, w, name=name)
    assert calls[0] == (1, second, 2 * 5 * different // second, 7) and len(calls) == 1 + 32
    assert len({id(value) for value in found}) == different
    if name == "ttnn.linear":
        for bias in (shards(1, 1, 1, 1, 3, each=32), over_columns(second, 1, 1, 1, 3)):
            calls.clear()
            outcome(counted(calls, lambda x, w, bias: golden(x, w, bias=bias)), x, w, bias, name=name)
            assert len(calls) == 1 + 32


def test_products_that_are_not_of_rows_and_one_matrix(calls):
    """A matrix for each head; a matrix that is added; matrices that meet different numbers of first factors."""
    x = shards(8, 1, 2, 5, 7, each=4)
    outcome(counted(calls, torch.matmul), x, over_columns(4, 1, 2, 7, 3), name="ttnn.matmul")
    added = lambda x, w, y: x @ w + y
    outcome(counted(calls, added), x, over_columns(4, 1, 1, 7, 3), over_columns(4, 1, 1, 5, 3), name="ttnn.linear")
    uneven = Shards.of([chosen for chip, w in enumerate(W * 8) for chosen in [W[0] if chip < 5 else w]])
    outcome(counted(calls, torch.matmul), x, uneven, name="ttnn.matmul")
    assert all(shape[-2:] == (5, 7) for shape in calls)


def test_a_convolution_takes_frames_of_all_chips(calls, unmapped):
    """Its golden function joins what stands in front of depth, height, width and channels to one batch."""
    golden = ttnn.experimental.conv3d.golden_function
    conv = lambda x, w, b: golden(
        input_tensor=x, weight_tensor=w, bias_tensor=b, output_channels=5, kernel_size=(1, 2, 3), padding=(0, 1, 1)
    )
    x, w, b = shards(8, 2, 3, 4, 6, 32, each=4), shards(1, 6 * 32, 5, each=32), shards(1, 1, 5, each=32)
    outcome(counted(calls, conv), x, w, b, name="ttnn.experimental.conv3d")
    assert calls[0] == (8, 2, 3, 4, 6, 32) and len(calls) == 1 + 32


def test_a_second_factor_of_more_dimensions_is_mapped(calls):
    """(8, 5, 7) @ (8, 7, 3) would multiply what belongs to other chips."""
    x, w = shards(8, 5, 7, each=4), shards(1, 8, 7, 3, each=32)
    outcome(counted(calls, torch.matmul), x, w, name="ttnn.matmul")
    assert calls[0] == (5, 7)


def test_as_many_second_operands_as_chips_are_mapped(calls):
    x, w = shards(32, 1, 1, 5, 7), shards(32, 1, 1, 1, 7)
    outcome(counted(calls, lambda x, w: ttnn.rms_norm.golden_function(x, weight=w)), x, w, name="ttnn.rms_norm")
    assert calls[0] == (1, 1, 5, 7)


def test_one_value_for_all_and_several_outputs(calls):
    x, scale = shards(16, 3, 5, each=2), shards(1, 5, each=32)
    first, second = outcome(lambda x, s: (x * s, [x.sum(-1), s + x][1]), x, scale)
    assert first[0] is first[1] and first[1] is not first[2] and second[31].shape == (3, 5)


def test_few_or_large_calls_stay_single(calls):
    per_chip(counted(calls, torch.sin), lambda row: (row, {}), [shards(4, 3, 5, each=8)], 32)
    assert len(calls) == 4
    for name in ("", "ttnn.silu", "ttnn.matmul"):
        calls.clear()
        per_chip(counted(calls, torch.sin), lambda row: (row, {}), [shards(8, 300, 1000, each=4)], 32, name)
        assert len(calls) == 8


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x if x.sum().item() > 0 else -x,
        lambda x: torch.from_numpy(x.numpy() + 1),
        lambda x: x[x > 0].sum(),
        lambda x: torch.isclose(x, x.abs()).float(),  # vmap has no rule for it, and would go row by row
    ],
)
def test_what_cannot_be_at_once_is_called_chip_by_chip_and_remembered(calls, function, recwarn):
    golden = counted(calls, function)
    x = shards(8, 3, 5, each=4)
    per_chip(golden, lambda row: (row, {}), [x], 32)
    assert golden in module.one_by_one and len(calls) == 1 + 8
    outcome(golden, x)
    assert len(calls) == 1 + 8 + 8 + 32, "it is not tried at once again"
    assert not recwarn.list


def test_no_random_numbers_are_shared(calls):
    torch.manual_seed(3)
    (values,) = per_chip(lambda x: x + torch.rand(3), lambda row: (row, {}), [shards(8, 3, each=4)], 32)
    assert len({tuple((a - b).tolist()) for a, b in zip(values.distinct, values.distinct[1:])}) == 7


def test_a_function_that_writes_over_its_inputs_is_found_out(calls):
    for count in (2, 16):
        with pytest.raises(RuntimeError, match="it wrote over its inputs"):
            per_chip(lambda x: x.add_(1), lambda row: (row, {}), [shards(count, 3, 5, each=32 // count)], 32)
    for name in ("ttnn.silu", "ttnn.matmul"):
        with pytest.raises(RuntimeError, match="it wrote over its inputs"):
            per_chip(lambda x: x.add_(1), lambda row: (row, {}), [shards(16, 3, 5, each=2)], 32, name)


def test_stacked_values_stay_what_they_are():
    some = shards(8, 3, 5, each=4)
    before = [value.clone() for value in some]
    size, which = some.num_bytes, some.which
    assert some.stack.shape == (8, 3, 5) and some.num_bytes == size and some.which == which
    assert all(torch.equal(a, b) for a, b in zip(before, some)) and some.shape == (3, 5) and some.shapes == {(3, 5)}
    halves = some.elementwise(lambda value: value.half())
    assert halves.dtype == torch.float16 and len(halves.kept) == 1 and torch.equal(list(halves)[31], before[31].half())
    turned = some.map(lambda value: value.T)
    assert turned.shape == (5, 3) and torch.equal(list(turned)[8], before[8].T)
