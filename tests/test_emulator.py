"""The emulated mesh itself: how values are kept, shared, rounded, freed, and what it says where it stops."""

import gc
import itertools

import pytest
import torch
import ttnn
from hypothesis import given
from hypothesis import strategies as st

from helpers.mesh import run_on
from helpers.tensors import gather, replicate, shard, shards_of
from tests.on_galaxy import FLOATS, ROW, TILE, few, opened, rounded
from ttnn_emulator import memory, per_chip
from ttnn_emulator.arguments import on_device, tensors_in

mesh = pytest.fixture(scope="module")(opened)
KEPT_BYTES = memory.KEPT_BFLOAT16.itemsize  # on this computer, of one bfloat16 number

INTEGERS = {
    ttnn.int32: (-(10**6), 10**6),
    ttnn.uint32: (0, 10**6),
    ttnn.uint16: (0, 60000),
    ttnn.uint8: (0, 255),
}
DTYPES = [*FLOATS, ttnn.bfloat4_b, *INTEGERS]


def randn(*shape, seed=0):
    return rounded(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), ttnn.bfloat16)


def filled(dtype, *shape):
    if dtype in INTEGERS:
        low, high = INTEGERS[dtype]
        return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(1)).to(torch.int32)
    return randn(*shape)


def stored(x, dtype):
    """What ttnn's own host code makes of x in that dtype."""
    return ttnn.from_torch(x, dtype=dtype, layout=TILE).to_torch().double()


@pytest.fixture
def golden(monkeypatch):
    """Gives an op another golden function, or none, until the test ends."""

    def attach(op, function):
        monkeypatch.setattr(op, "golden_function", function)

    return attach


# Its errors


@pytest.mark.parametrize("wrong", [lambda x: x[..., :-1], lambda x: x.T, lambda x: x[None], lambda x: x.sum()])
def test_a_golden_of_another_shape_is_an_error(mesh, golden, wrong):
    x = replicate(randn(32, 64), mesh)
    golden(ttnn.relu, lambda x, **options: wrong(x))
    with pytest.raises(RuntimeError, match=r"ttnn\.relu.*shape \(32, 64\), its golden function \("):
        ttnn.relu(x)


def test_a_golden_with_too_few_outputs_is_an_error(mesh, golden):
    golden(ttnn.topk, lambda x, k, **options: x.topk(k).values)
    with pytest.raises(RuntimeError, match=r"ttnn\.topk, but its golden.* it returned 1 tensors, ttnn 2"):
        ttnn.topk(replicate(randn(32, 64), mesh), 32)


def test_a_golden_that_fails_is_named(mesh, golden):
    def fail(x, **options):
        raise KeyError("bad")

    golden(ttnn.relu, fail)
    with pytest.raises(RuntimeError, match=r"ttnn accepted this call of ttnn\.relu, but its golden function did not"):
        ttnn.relu(replicate(randn(32, 64), mesh))


def test_a_golden_that_writes_over_its_input_is_an_error(mesh, golden):
    golden(ttnn.relu, lambda x, **options: x.clamp_(min=0).clone())
    with pytest.raises(RuntimeError, match=r"ttnn\.relu, but its golden function did not: it wrote over its inputs"):
        ttnn.relu(replicate(randn(32, 64), mesh))


@pytest.mark.parametrize("prepare", [lambda x: 2 * ttnn.to_torch(x), lambda x: ttnn.to_torch(x).sum().item()])
def test_a_preparation_that_computes_with_values_is_an_error(mesh, monkeypatch, prepare):
    """It runs once for all chips, so it may only put values in their places."""
    x = shard(randn(1, 1, 256, 64), mesh, sp=2)
    monkeypatch.setattr(ttnn.relu, "preprocess_golden_function_inputs", lambda args, kwargs: ([prepare(*args)], {}))
    with pytest.raises(RuntimeError, match=r"ttnn\.relu, but its golden function did not: .*(values|meta)"):
        ttnn.relu(x)


def test_no_golden_is_an_error_before_anything_is_computed(mesh, golden, monkeypatch):
    x = replicate(randn(32, 64), mesh)
    ran = []
    monkeypatch.setattr(ttnn.relu, "function", lambda *args, **kwargs: ran.append(1))
    golden(ttnn.relu, None)
    with pytest.raises(NotImplementedError, match=r"ttnn\.relu has no golden function.*attach_golden_function"):
        ttnn.relu(x)
    assert not ran


def test_an_op_that_ttnn_carries_no_golden_for(mesh):
    x = replicate(randn(1, 1, 32, 64), mesh)
    with pytest.raises(NotImplementedError, match=r"ttnn\.experimental\.dropout"):
        ttnn.experimental.dropout(x, probability=0.5, scale=2.0, seed=1)


def test_ttnn_own_errors_come_through(mesh):
    with pytest.raises(RuntimeError, match=r"(?i)width|height|inner|shape"):
        ttnn.matmul(replicate(randn(32, 64), mesh), replicate(randn(96, 32), mesh))


def test_after_an_error_all_goes_on(mesh, golden, monkeypatch):
    x = randn(32, 64)
    with monkeypatch.context() as patch:
        patch.setattr(ttnn.relu, "golden_function", lambda x, **options: x[:1])
        with pytest.raises(RuntimeError):
            ttnn.relu(replicate(x, mesh))
    assert torch.equal(gather(ttnn.relu(replicate(x, mesh))).float(), x.relu())


# Its economy


def test_operands_in_another_order_than_usual(mesh):
    """Weights of eight columns of chips, named first: they are no stack of what is normalised."""
    x, w = randn(1, 1, 32, 64), randn(1, 1, 8, 64, seed=1)
    weight = shard(w.reshape(1, 1, 1, 512), mesh, sp=3)
    got = gather(ttnn.rms_norm(weight=weight, input_tensor=replicate(x, mesh)), sp=2).float().reshape(8, 32, 64)
    want = x[0] * x[0].square().mean(-1, keepdim=True).rsqrt() * w[0, 0, :, None]
    assert torch.allclose(got, want, rtol=0.02, atol=0.02)


def test_what_is_kept_is_no_part_of_another_tensor():
    """A slice would keep the whole alive. The same numbers in another shape need no copy, in another order they do."""
    whole = randn(3, 5, 7)
    same, turned, part = (memory.rounded(x, ttnn.float32) for x in (whole.reshape(15, 7), whole.mT, whole[:1]))
    assert same.data_ptr() == whole.data_ptr()
    assert turned._base is None and torch.equal(turned, whole.mT)
    assert part._base is None and torch.equal(part, whole[:1])


def test_a_transposed_first_factor(mesh):
    """Its columns are rows of the product, so nothing of it may stand below another chip's."""
    x, w = randn(1, 1, 64, 256), randn(1, 1, 64, 128, seed=1)
    got = gather(ttnn.matmul(shard(x, mesh, sp=3), shard(w, mesh, tp=3), transpose_a=True), sp=2, tp=3).float()
    assert torch.allclose(got, x.mT @ w, rtol=0.02, atol=0.2)


def test_a_product_with_itself(mesh):
    """One input, though the op has two."""
    x = randn(1, 1, 8 * 32, 32)
    parts = x.unflatten(2, (8, 32))[0, 0]
    y = shard(x, mesh, sp=2)
    got = gather(ttnn.matmul(y, y), sp=2).float().unflatten(2, (8, 32))[0, 0]
    assert torch.allclose(got, parts @ parts, rtol=0.02, atol=0.2)


def test_equal_shards_are_computed_once(mesh, golden, monkeypatch):
    """One by one: small calls are made at once (tests/test_per_chip.py)."""
    monkeypatch.setattr(per_chip, "MAPPED_FROM", 33)
    monkeypatch.setattr(per_chip, "OF_ONE_RANK", set())
    calls = []
    real = ttnn.relu.golden_function
    golden(ttnn.relu, lambda *args, **kwargs: calls.append(1) or real(*args, **kwargs))
    add = ttnn.add.golden_function
    golden(ttnn.add, lambda *args, **kwargs: calls.append(1) or add(*args, **kwargs))
    x = randn(1, 1, 256, 256)
    for cut, times in (({}, 1), ({"tp": 2}, 4), ({"sp": 3}, 8), ({"tp": 3, "sp": 2}, 32)):
        calls.clear()
        y = ttnn.relu(shard(x, mesh, **cut))
        assert len(calls) == times
        assert torch.equal(gather(y, **cut).float(), x.relu())
        ttnn.relu(y)
        assert len(calls) == 2 * times  # what was shared stays shared
    calls.clear()
    ttnn.add(shard(x, mesh, tp=2), shard(x[:, :, :64], mesh))
    assert len(calls) == 4
    ttnn.all_gather(shard(x, mesh, tp=2, sp=3), dim=3, cluster_axis=1)
    calls.clear()
    ttnn.relu(ttnn.all_gather(shard(x, mesh, tp=2, sp=3), dim=3, cluster_axis=1))
    assert len(calls) == 4


def test_arguments_are_prepared_once_for_all_chips(mesh, monkeypatch):
    calls = []
    real = ttnn.add.preprocess_golden_function_inputs
    prepare = lambda *call: calls.append(1) or real(*call)
    monkeypatch.setattr(ttnn.add, "preprocess_golden_function_inputs", prepare)
    x = randn(1, 1, 256, 256)
    y = ttnn.add(shard(x, mesh, tp=3, sp=2), 1)
    assert len(calls) == 1 and torch.equal(gather(y, tp=3, sp=2).float(), rounded(x + 1, ttnn.bfloat16))


def test_inputs_that_are_the_same_on_one_chip_only_are_told_apart(mesh):
    x = randn(1, 1, 256, 64)
    ours = shard(x, mesh, sp=2)
    first = ttnn.broadcast(ours, ttnn.MeshCoordinate(0, 0), cluster_axis=1)  # on chip (0, 0) the very same values
    by_chip = shards_of(ttnn.subtract(ours, first))
    for col, part in enumerate(x.chunk(8, 2)):
        assert torch.equal(by_chip[0, col].float(), rounded(part - x[:, :, :32], ttnn.bfloat16))


def test_replicas_take_the_place_of_one(mesh):
    mesh.emulator.memory.sweep()
    before = mesh.emulator.memory.num_bytes()
    kept = replicate(randn(256, 256), mesh)
    assert mesh.emulator.memory.num_bytes() - before == 256 * 256 * KEPT_BYTES
    cut = shard(randn(256, 256), mesh, tp=0, sp=1)
    assert mesh.emulator.memory.num_bytes() - before == 2 * 256 * 256 * KEPT_BYTES
    assert kept.is_allocated() and cut.is_allocated()


def test_freed_buffers_free_their_values(mesh):
    memory = mesh.emulator.memory
    gc.collect()  # what earlier tests left
    memory.sweep()
    before = memory.num_bytes()
    size = 512 * 256 * KEPT_BYTES
    x, y = replicate(randn(512, 256), mesh), replicate(randn(512, 256), mesh)
    z = ttnn.add(x, y)
    assert memory.num_bytes() == before + 3 * size
    ttnn.deallocate(x)
    memory.sweep()
    assert memory.num_bytes() == before + 2 * size
    del z
    gc.collect()
    memory.sweep()
    assert memory.num_bytes() == before + size
    view = ttnn.reshape(y, (256, 512))
    del y
    memory.sweep()
    assert memory.num_bytes() == before + size  # the view holds the buffer
    assert torch.equal(gather(view).float(), randn(512, 256).reshape(256, 512))
    del view
    memory.sweep()
    assert memory.num_bytes() == before


def test_a_reused_buffer_takes_the_old_values_along(mesh):
    memory = mesh.emulator.memory
    memory.sweep()
    before = memory.num_bytes()
    for seed in range(20):
        x = replicate(randn(256, 256, seed=seed), mesh)
        x = ttnn.relu(x)
    assert memory.num_bytes() - before <= 4 * 256 * 256 * KEPT_BYTES
    assert torch.equal(gather(x).float(), randn(256, 256, seed=19).relu())


def test_values_are_swept_without_being_asked(mesh):
    """A loop that drops what it makes does not grow."""
    memory = mesh.emulator.memory
    memory.sweep()
    before, peak, kept = memory.num_bytes(), 0, []
    for seed in range(24):
        kept = [
            *kept[-1:],
            replicate(randn(2048, 2048, seed=seed), mesh),
        ]  # 16 MiB, never at the last one's place
        peak = max(peak, memory.num_bytes() - before)
    assert peak <= 8 * 2**24


def test_freed_tensors_say_so(mesh):
    x = replicate(randn(32, 64), mesh)
    ttnn.deallocate(x)
    for use in (lambda: ttnn.relu(x), lambda: x.to_torch(), lambda: ttnn.to_torch(x), lambda: gather(x)):
        with pytest.raises((RuntimeError, ValueError)):
            use()


# Values: rounding, reading, moving


@pytest.mark.parametrize("dtype", DTYPES)
def test_rounding_is_ttnn_own(mesh, dtype):
    """A bfloat8_b is what ttnn's host code packs, from the host and out of an op."""
    x = filled(dtype, 64, 96)
    assert torch.equal(gather(replicate(x, mesh, dtype=dtype)).double(), stored(x, dtype))
    if dtype in (ttnn.bfloat8_b, ttnn.bfloat4_b):
        cast = ttnn.typecast(replicate(x, mesh, dtype=ttnn.float32), dtype)
        assert torch.equal(gather(cast).double(), stored(x, dtype))
        assert not torch.equal(stored(x, dtype), x.double())
    if dtype in FLOATS:
        product = ttnn.multiply(replicate(x, mesh, dtype=dtype), replicate(x, mesh, dtype=dtype))
        exact = stored(x, dtype) ** 2
        assert torch.equal(gather(product).double(), stored(exact.float(), dtype))


@few
@given(
    dtype=st.sampled_from(DTYPES),
    layout=st.sampled_from([TILE, ROW]),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 20).map(lambda n: 4 * n)),
    memory=st.sampled_from([ttnn.DRAM_MEMORY_CONFIG, ttnn.L1_MEMORY_CONFIG]),
)
def test_every_way_there_and_back(mesh, dtype, layout, shape, memory):
    layout = TILE if dtype in (ttnn.bfloat8_b, ttnn.bfloat4_b) else layout
    x = filled(dtype, *shape)
    other = layout if dtype in (ttnn.bfloat8_b, ttnn.bfloat4_b) else ROW if layout == TILE else TILE
    want = stored(x, dtype)
    host = ttnn.from_torch(x, dtype=dtype, layout=layout)
    ways_there = {
        "from_torch": lambda: ttnn.from_torch(x, dtype=dtype, layout=layout, device=mesh, memory_config=memory),
        "to_device": lambda: ttnn.to_device(host, mesh, memory_config=memory),
        ".to": lambda: host.to(mesh, memory),
        ".to, another layout": lambda: ttnn.from_torch(
            x, dtype=dtype, layout=other, device=mesh, memory_config=memory
        ).to(layout),
        "as_tensor": lambda: ttnn.as_tensor(x, dtype=dtype, layout=layout, device=mesh, memory_config=memory),
        "copy": lambda: copied(host, mesh, memory),
    }
    ways_back = {
        "get_device_tensors": lambda t: ttnn.to_torch(ttnn.get_device_tensors(t)[17]),
        "from_device": lambda t: ttnn.to_torch(ttnn.get_device_tensors(ttnn.from_device(t))[31]),
        ".cpu": lambda t: ttnn.get_device_tensors(t.cpu())[3].to_torch(),
        "of one chip": lambda t: ttnn.get_device_tensors(t)[5].cpu().to_torch(),
        "composer": lambda t: ttnn.to_torch(t, mesh_composer=ttnn.ConcatMeshToTensor(mesh, dim=0))[: shape[0]],
        "gather": gather,
    }
    for (there, put), (back, get) in itertools.product(ways_there.items(), ways_back.items()):
        placed = put()
        assert (
            placed.dtype == dtype
            and placed.layout == layout
            and placed.memory_config().buffer_type == memory.buffer_type
        )
        assert torch.equal(get(placed).double(), want), (there, back)


def copied(host, mesh, memory):
    device = ttnn.allocate_tensor_on_device(host.spec, mesh)
    ttnn.copy_host_to_device_tensor(host, device)
    return ttnn.to_memory_config(device, memory)


def test_uninitialised_memory_is_not_a_number(mesh):
    empty = ttnn.empty((32, 64), dtype=ttnn.bfloat16, layout=TILE, device=mesh)
    for tensor in (empty, ttnn.empty_like(replicate(randn(32, 64), mesh))):
        assert all(value.isnan().all() for value in shards_of(tensor).values())


def test_one_chip_of_many(mesh):
    x = randn(1, 1, 256, 256)
    of_chips = ttnn.get_device_tensors(shard(x, mesh, tp=2, sp=3))
    assert len(of_chips) == 32
    for chip, tensor in enumerate(of_chips):
        row, col = divmod(chip, 8)
        part = x[:, :, 64 * row : 64 * (row + 1), 32 * col : 32 * (col + 1)].to(torch.bfloat16)
        assert torch.equal(tensor.to_torch(), part)
    again = ttnn.combine_device_tensors(tensors=of_chips)
    assert torch.equal(gather(ttnn.neg(again), tp=2, sp=3).float(), -x)


def test_printing_shows_values(mesh):
    x = torch.arange(1024).reshape(32, 32).float()
    shown = str(replicate(x, mesh, dtype=ttnn.float32))
    assert "3.1000e+01" in shown and "1.0230e+03" in shown and "shape" in shown.lower()
    assert repr(replicate(x, mesh)) == str(replicate(x, mesh))


def test_reading_a_single_chip_tensor():
    assert run_on("n150", read_on_one_chip) == ([[1.5, -2.0]], 7.0, [[1.5, -2.0]], [[3.0, -4.0]], 2)


def read_on_one_chip(mesh):
    x = replicate(torch.tensor([[1.5, -2.0]]), mesh)
    item = replicate(torch.tensor([[7.0]]), mesh).item()
    return (
        x.to_list(),
        item,
        x.to_torch().tolist(),
        ttnn.typecast(x * 2, ttnn.float32).to_numpy().tolist(),
        ttnn.to_torch(x[:, 1:]).item() * -1,
    )


def test_dump_and_load(mesh, tmp_path):
    x = randn(1, 1, 256, 256)
    path = tmp_path / "x.tensorbin"
    ttnn.dump_tensor(file_name=path, tensor=shard(x, mesh, tp=2, sp=3))
    on_host, on_mesh = ttnn.load_tensor(path), ttnn.load_tensor(path, device=mesh)
    assert not on_device(on_host) and on_device(on_mesh)
    assert torch.equal(gather(on_mesh, tp=2, sp=3).float(), x)
    assert torch.equal(gather(ttnn.to_device(on_host, mesh), tp=2, sp=3).float(), x)
    for move in (lambda t: ttnn.to_device(t, mesh), lambda t: t.to(mesh)):  # there and back, cut all the time
        assert torch.equal(gather(move(ttnn.from_device(on_mesh)), tp=2, sp=3).float(), x)


def test_a_tensor_that_its_class_makes_on_the_mesh(mesh):
    x = randn(32, 64)
    from_torch = ttnn.Tensor(tensor=x, data_type=ttnn.float32, layout=TILE, device=mesh)
    from_list = ttnn.Tensor(x[:2, :3].flatten().tolist(), [2, 3], ttnn.float32, ttnn.ROW_MAJOR_LAYOUT, mesh)
    assert isinstance(from_list, ttnn.Tensor) and not isinstance(x, ttnn.Tensor)
    for made, want in ((from_torch, x), (from_list, x[:2, :3])):
        assert made.dtype == ttnn.float32 and on_device(made)
        for shard_of_it in (ttnn.get_device_tensors(made)[chip] for chip in (0, 13)):
            assert torch.equal(ttnn.to_torch(shard_of_it), want)


def test_a_tensor_of_length_zero_takes_no_ones_place(mesh):
    """It has no bytes, so ttnn may give its address to another tensor."""
    x = randn(1, 1, 64, 96)
    put = lambda x: ttnn.from_torch(x, device=mesh, layout=TILE, dtype=ttnn.float32)
    kept = [put(x * n) if n else put(x[:, :, :, :0]) for n in (1, 0, 2, 0, 3)]
    for n, tensor in zip((1, 0, 2, 0, 3), kept):
        got = ttnn.to_torch(ttnn.get_device_tensors(tensor)[5])
        assert torch.equal(got, x * n) if n else tuple(got.shape) == (1, 1, 64, 0)
    q, k, v = ttnn.experimental.nlp_create_qkv_heads(kept[2], num_heads=3, num_kv_heads=0, transpose_k_heads=False)
    assert tuple(k.shape) == tuple(v.shape) == (1, 0, 64, 32)
    assert torch.equal(
        ttnn.to_torch(ttnn.get_device_tensors(q)[5]), 2 * x.unflatten(-1, (3, 32)).squeeze(1).transpose(1, 2)
    )


def test_as_tensor_with_a_cache_file(mesh, tmp_path):
    x, name = randn(64, 256), str(tmp_path / "weights" / "w")
    mapper = ttnn.ShardTensor2dMesh(mesh, mesh_shape=(4, 8), dims=(None, 1))
    options = {
        "dtype": ttnn.bfloat16,
        "layout": TILE,
        "device": mesh,
        "mesh_mapper": mapper,
        "cache_file_name": name,
    }
    options["memory_config"] = ttnn.DRAM_MEMORY_CONFIG
    first = ttnn.as_tensor(x, **options)
    assert list((tmp_path / "weights").iterdir())
    second = ttnn.as_tensor(torch.zeros_like(x), **options)  # from the file, not from what is given
    for tensor in (first, second):
        assert torch.equal(gather(tensor, sp=1).float(), x)
        assert torch.equal(gather(ttnn.relu(tensor), sp=1).float(), x.relu())


# Views and writing in place


def test_views_share_a_buffer(mesh):
    x = randn(1, 64, 32, 64)
    whole = shard(x, mesh, tp=1)
    view = ttnn.reshape(whole, (1, 8, 64, 64))
    assert view.buffer_unique_id() == whole.buffer_unique_id()
    want = torch.cat([part.reshape(1, 8, 64, 64) for part in x.chunk(4, 1)], 1)
    assert torch.equal(gather(view, tp=1).float(), want)
    ttnn.multiply_(view, 2.0)
    assert torch.equal(gather(view, tp=1).float(), 2 * want)
    assert torch.equal(gather(whole, tp=1).float(), 2 * x)  # written through the view
    ttnn.add_(whole, 1.0)
    assert torch.equal(gather(view, tp=1).float(), rounded(2 * want + 1, ttnn.bfloat16))


@few
@given(cut=st.sampled_from([{}, {"tp": 2}, {"sp": 3}]), seed=st.integers(0, 99))
def test_writing_in_place_changes_one_tensor_only(mesh, cut, seed):
    """Also where several tensors had one value."""
    x = randn(1, 1, 256, 256, seed=seed)
    first = shard(x, mesh, dtype=ttnn.float32, **cut)
    others = [
        ttnn.identity(first),
        ttnn.clone(first),
        ttnn.to_memory_config(first, ttnn.L1_MEMORY_CONFIG),
        first + 0,
    ]
    ttnn.relu(first, output_tensor=first)
    ttnn.add_(first, 1.0)
    assert torch.equal(gather(first, **cut), x.relu() + 1)
    assert all(torch.equal(gather(other, **cut), x) for other in others)


def test_from_torch_copies(mesh):
    x = torch.ones(32, 64)
    tensor = replicate(x, mesh, dtype=ttnn.float32)
    x.zero_()
    assert gather(tensor).eq(1).all()
    gather(tensor).zero_()
    tensor.cpu()
    assert gather(tensor).eq(1).all()


def test_outputs_are_where_ttnn_says(mesh):
    x = replicate(randn(1, 1, 64, 64), mesh)
    out = ttnn.zeros_like(x)
    for result in (ttnn.add(x, x, output_tensor=out), ttnn.matmul(x, x, optional_output_tensor=out)):
        assert result.buffer_address() == out.buffer_address()
        assert torch.equal(gather(result), gather(out)) and gather(out).any()


def test_without_numerics():
    assert run_on("t3000", dry_run, numerics=False) == ([1, 1, 32, 96], 4, True)


def dry_run(mesh):
    x, w = shard(torch.randn(1, 1, 64, 64), mesh, sp=2), shard(torch.randn(64, 384), mesh, tp=1)
    y = ttnn.matmul(x, w)
    refused = 0
    for read in (y.to_torch, lambda: ttnn.to_torch(y), lambda: str(y), lambda: ttnn.from_device(y)):
        try:
            read()
        except RuntimeError as error:
            refused += "numerics=False" in str(error)
    return list(y.shape), refused, mesh.emulator.memory.num_bytes() == 0


@few
@given(data=st.data())
def test_programs_of_many_ops(mesh, data):
    """Random chains of ops, values shared, dropped and written over, against the same chain in torch."""
    x = randn(1, 2, 128, 64, seed=data.draw(st.integers(0, 99)))
    steps = {
        "relu": (ttnn.relu, torch.relu),
        "half": (lambda t: t * 0.5, lambda t: t * 0.5),
        "add_": (lambda t: ttnn.add_(t, 0.25), lambda t: t.add_(0.25)),
        "clone": (ttnn.clone, torch.clone),
        "tanh": (ttnn.tanh, torch.tanh),
        "l1": (lambda t: ttnn.to_memory_config(t, ttnn.L1_MEMORY_CONFIG), torch.clone),
        "swap": (lambda t: ttnn.transpose(t, 0, 1), lambda t: t.transpose(0, 1).clone()),
        "rows": (lambda t: ttnn.to_layout(ttnn.to_layout(t, ROW), TILE), torch.clone),
    }
    pool = [(shard(x, mesh, dtype=ttnn.float32, tp=2), x)]
    for name in data.draw(st.lists(st.sampled_from(sorted(steps)), min_size=5, max_size=12)):
        ours, theirs = pool[data.draw(st.integers(0, len(pool) - 1))]
        on_mesh, in_torch = steps[name]
        pool.append((on_mesh(ours), in_torch(theirs)))
        if len(pool) > 3:
            pool.pop(data.draw(st.integers(0, 3)))
    for ours, theirs in pool:
        torch.testing.assert_close(gather(ours, tp=2), theirs)


def test_tensors_are_found_wherever_they_are(mesh):
    x = replicate(randn(32, 32), mesh)
    assert len(tensors_in(([x, (x,)], {"a": x, "b": [x, 1, None, "text"]}))) == 4
    assert shards_of(x).keys() == set(itertools.product(range(4), range(8)))


@pytest.mark.parametrize("avx512_bf16, amx", [(False, False), (False, True), (True, False)])
def test_bfloat16_is_kept_only_where_the_cpu_has_instructions_for_it(monkeypatch, avx512_bf16, amx):
    """Whatever oneDNN says: any AVX-512 is enough for its yes."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert memory.kept_bfloat16() == (torch.bfloat16 if avx512_bf16 or amx else torch.float32)


def mixed_precision(mesh):
    """One small program, with bfloat16, float32 and block floats side by side."""
    x, w = randn(1, 1, 256, 128), randn(1, 1, 128, 384, seed=1)
    a, b = shard(x, mesh, sp=2), shard(w, mesh, tp=3, dtype=ttnn.bfloat8_b)
    c = ttnn.add(ttnn.matmul(a, b), shard(randn(1, 1, 256, 384, seed=2), mesh, sp=2, tp=3, dtype=ttnn.float32))
    return gather(ttnn.softmax(c, dim=-2), sp=2, tp=3), gather(
        ttnn.matmul(a, a, transpose_b=True, dtype=ttnn.float32), sp=2
    )


@pytest.mark.parametrize("kept", [torch.bfloat16, torch.float32])
def test_values_kept_as_either_dtype_are_the_same_values(mesh, monkeypatch, kept):
    """Which one a computer uses depends on its CPU (ttnn_emulator/memory.py)."""
    here = mixed_precision(mesh)
    monkeypatch.setattr(memory, "KEPT_BFLOAT16", kept)
    x = replicate(randn(1, 1, 64, 96), mesh)
    assert mesh.emulator.memory.read(x).distinct[0].dtype == kept
    for mine, other in zip(mixed_precision(mesh), here, strict=True):
        assert mine.dtype == other.dtype and torch.allclose(mine.float(), other.float(), rtol=0.02, atol=1e-4)
