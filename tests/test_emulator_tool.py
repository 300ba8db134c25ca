"""The emulator as a tool: programs that know nothing of it, the command line, pytest, and what is refused by name."""

import json
import os
import subprocess
import sys

import pytest
import torch
import ttnn

from helpers.tensors import gather, replicate, shard, shards_of
from tests.on_galaxy import opened
from ttnn_emulator.options import Swallowed, reads, strict
from ttnn_emulator.pytest_plugin import shape_of

mesh = pytest.fixture(scope="module")(opened)

PROGRAM = """
import sys
import torch
import ttnn

device = ttnn.open_device(device_id=0)
x = torch.arange(1, 38 * 70 + 1).float().reshape(1, 1, 38, 70) / 1000
y = ttnn.add(ttnn.from_torch(x, device=device, layout=ttnn.TILE_LAYOUT, dtype=ttnn.float32), 1.0)
print(sys.argv[1:], torch.equal(ttnn.to_torch(y), x + 1), ttnn.CONFIG.enable_fast_runtime_mode)
ttnn.close_device(device)
"""


def tool(cwd, *arguments, module="ttnn_emulator", **environment):
    path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=cwd, timeout=120, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": path} | environment,
    )  # fmt: skip


@pytest.mark.parametrize("fast", [True, False])
def test_a_program_that_knows_nothing_of_us(tmp_path, fast):
    """With ttnn's fast runtime mode off its ops are of another class, which once went unseen and gave zeros."""
    (tmp_path / "program.py").write_text(PROGRAM)
    mode = json.dumps({"enable_fast_runtime_mode": fast})
    ended = tool(tmp_path, "run", "--system", "n150", "program.py", "--some", "thing", TTNN_CONFIG_OVERRIDES=mode)
    assert ended.stdout.splitlines()[-1] == f"['--some', 'thing'] True {fast}", ended.stderr[-2000:]


def test_what_a_program_calls_is_written_down(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    ended = tool(tmp_path, "record", "--system", "n150", "--out", "ops.jsonl", "program.py")
    assert ended.returncode == 0, ended.stderr[-2000:]
    calls = [json.loads(line) for line in (tmp_path / "ops.jsonl").read_text().splitlines()]
    assert [call["op"] for call in calls] == ["ttnn.from_torch", "ttnn.add", "ttnn.from_device"]
    add = calls[1]
    assert add["options"] == {"1": 1.0}
    assert add["inputs"][0]["shape"] == [1, 1, 38, 70] and add["inputs"][0]["padded_shape"] == [1, 1, 64, 96]
    assert add["outputs"][0] | {"dtype": "FLOAT32", "buffer": "DRAM", "mesh": [1, 1]} == add["outputs"][0]


MESHES = """
import torch, ttnn

ttnn.set_fabric_config(ttnn.FabricConfig.FABRIC_1D)
x = torch.randn(1, 8, 40, 70, generator=torch.Generator().manual_seed(1))

def place(mesh, factor=1.0):
    x_on_it = ttnn.from_torch(x, device=mesh, layout=ttnn.TILE_LAYOUT, dtype=ttnn.float32,
                              mesh_mapper=ttnn.ShardTensorToMesh(mesh, 1))
    return ttnn.multiply(x_on_it, factor)

def values(t):
    return [ttnn.to_torch(part) for part in ttnn.get_device_tensors(t)]

def gathered(t, axis):
    return values(ttnn.all_gather(t, 1, cluster_axis=axis, topology=ttnn.Topology.Linear))

def same(parts, wanted):
    assert len(parts) == len(wanted) and all(map(torch.equal, parts, wanted))

# One mesh, in other shapes: rows of x lie along it chip by chip, whatever its shape.
mesh = ttnn.open_mesh_device(ttnn.MeshShape(2, 4))
rows = list(x.chunk(8, 1))
for shape in ((2, 4), (1, 8), (4, 2)):
    if tuple(mesh.shape) != shape:
        mesh.reshape(ttnn.MeshShape(*shape))
    assert tuple(mesh.shape) == shape
    t = place(mesh, -3.0)
    same(values(t), [-3 * row for row in rows])
    high, wide = shape
    same(gathered(t, 1), [-3 * row for row in x.chunk(high, 1) for _ in range(wide)])
    if high > 1:
        columns = [torch.cat(rows[chip % wide :: wide], 1) for chip in range(8)]
        same(gathered(t, 0), [-3 * column for column in columns])
ttnn.close_mesh_device(mesh)

# Meshes cut out of one: each holds and computes its own.
mesh = ttnn.open_mesh_device(ttnn.MeshShape(2, 4))
left, right = mesh.create_submeshes(ttnn.MeshShape(2, 2))
corner = mesh.create_submesh(ttnn.MeshShape(1, 2), ttnn.MeshCoordinate(1, 2))
chips = [[m.get_device_id(ttnn.MeshCoordinate(*at)) for at in ttnn.MeshCoordinateRange(m.shape)]
         for m in (left, right, corner)]
whole = [[mesh.get_device_id(ttnn.MeshCoordinate(r, c)) for c in range(4)] for r in range(2)]
assert chips == [whole[0][:2] + whole[1][:2], whole[0][2:] + whole[1][2:], whole[1][2:]]
tensors = {m: place(m, factor) for m, factor in ((left, 2.0), (right, 5.0), (corner, 7.0))}
for (m, t), factor in zip(tensors.items(), (2, 5, 7)):
    parts = x.chunk(m.get_num_devices(), 1)
    same(values(t), [factor * part for part in parts])
    width = m.shape[1]
    rows = [torch.cat(parts[n : n + width], 1) for n in range(0, len(parts), width)]
    same(gathered(t, 1), [factor * row for row in rows for _ in range(width)])
    assert torch.equal(ttnn.to_torch(t, mesh_composer=ttnn.ConcatMeshToTensor(m, 1)), factor * x)
corner.reshape(ttnn.MeshShape(2, 1))
t = place(corner, 0.5)
same(gathered(t, 0), [0.5 * x] * 2)
for m in (left, right, corner, mesh):
    ttnn.close_mesh_device(m)
print("all right")
"""


def test_meshes_in_other_shapes_and_cut_out_of_others(tmp_path):
    (tmp_path / "program.py").write_text(MESHES)
    ended = tool(tmp_path, "run", "--system", "t3000", "program.py")
    assert ended.returncode == 0 and ended.stdout.splitlines()[-1] == "all right", ended.stderr[-3000:]


def test_a_table_does_not_wait_for_ttnn(tmp_path):
    (tmp_path / "ttnn.py").write_text("raise ImportError('ttnn was wanted')")  # is found before the real one
    assert "galaxy_torus" in tool(tmp_path, "systems").stdout
    assert "ttnn was wanted" in tool(tmp_path, "run", "--system", "n150", "-m", "json.tool").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "no program"),
        (["run", "nowhere.py"], "there is no file nowhere.py"),
        (["run", "-m", "nowhere.tool"], "there is no module nowhere.tool"),
        (["run", "--system", "n151", "-m", "json.tool"], "no system called 'n151'"),
        (["record", "--out", "no/folder/ops", "-m", "json.tool"], "no/folder/ops"),
    ],
)
def test_bad_input_gets_one_sentence(tmp_path, arguments, said):
    ended = tool(tmp_path, *arguments)
    assert ended.returncode == 2 and said in ended.stderr and "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


TESTS = """
import ctypes, pytest, torch, ttnn

ctypes.pythonapi.Py_IncRef(ctypes.py_object(ttnn.MeshShape(1, 2)))  # held until the end, as pytest holds some things

@pytest.mark.parametrize("mesh_device", [(1, 2), (3, 7)], indirect=True)
@pytest.mark.parametrize("device_params", [{"fabric_config": ttnn.FabricConfig.FABRIC_1D}], indirect=True)
def test_sum(mesh_device):
    x = torch.arange(2 * 32 * 32.0).reshape(1, 1, 32, 64)
    x = ttnn.from_torch(x, device=mesh_device, layout=ttnn.TILE_LAYOUT, dtype=ttnn.float32,
                        mesh_mapper=ttnn.ShardTensorToMesh(mesh_device, 3))
    total = ttnn.to_torch(ttnn.get_device_tensors(ttnn.all_reduce(x))[1])
    assert total[0, 0, 0, 0] == 0 + 32 and total[0, 0, 31, 31] == 31 * 64 + 31 + 31 * 64 + 63

def test_wrong(device):
    x = ttnn.from_torch(torch.ones(32, 32), device=device, layout=ttnn.TILE_LAYOUT)
    assert ttnn.to_torch(ttnn.add(x, 1.0))[0, 0] == 3
"""


def test_pytest_with_their_fixtures(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    ended = tool(
        tmp_path,
        "-p",
        "ttnn_emulator.pytest_plugin",
        "--system",
        "n300",
        "-q",
        "-p",
        "no:cacheprovider",
        module="pytest",
    )
    assert "1 failed, 1 passed, 1 skipped" in ended.stdout, ended.stdout[-3000:] + ended.stderr[-2000:]
    assert "test_wrong" in ended.stdout and "nanobind" not in ended.stderr


def test_the_mesh_that_a_test_asks_for():
    assert shape_of(None, (4, 8)) == (4, 8)
    assert shape_of(3, (4, 8)) == (1, 3)
    assert shape_of((2, 4), (4, 8)) == (2, 4)


# Options


def test_an_option_that_matters_is_refused():
    def golden(x, **options):
        return x + 1

    assert strict(golden)(1, memory_config="anything", num_links=4, bias=None, flag=False) == 2
    with pytest.raises(Swallowed, match="its option logical_h=6 is not emulated"):
        strict(golden)(1, logical_h=6)


def test_a_function_that_reads_its_options_is_left_alone():
    def golden(x, **options):
        return x + options["more"]

    assert reads(golden, "options") and strict(golden)(1, more=2, logical_h=6) == 3


def test_a_name_within_another_is_not_read():
    """ttnn names what it overlooks `_`, and has it in every other name."""

    def golden(input_tensor, **_):
        return input_tensor

    assert not reads(golden, "_")
    with pytest.raises(Swallowed, match="its option logical_h=6 is not emulated"):
        strict(golden)(1, logical_h=6)


def test_options_that_are_handed_on_are_looked_for_there(mesh):
    """ttnn's comparisons hand them to a function that overlooks the fused activations."""
    negated = [ttnn.UnaryWithParam(ttnn.UnaryOpType.NEG)]
    x, y = (replicate(torch.randn(1, 1, 37, 70, generator=torch.Generator().manual_seed(n)), mesh) for n in (1, 2))
    for op in (ttnn.gt, ttnn.logaddexp):
        with pytest.raises(RuntimeError, match="its option activations=.* is not emulated"):
            op(x, y, activations=negated)
    named = ttnn.add(x, y, activations=negated)  # this one knows them
    assert torch.equal(gather(named), -gather(ttnn.add(x, y)))


def test_an_option_without_a_name_is_refused():
    def golden(x, dim, *args):
        return x + dim

    assert strict(golden)(1, 2, None, False, ttnn.bfloat16, ttnn.DRAM_MEMORY_CONFIG) == 3
    for value in (True, 5, "zeros", (0, 1.5)):
        with pytest.raises(Swallowed, match="given without a name, is not emulated"):
            strict(golden)(1, 2, value)


def test_entries_that_are_to_be_skipped_are_not(mesh):
    numbers = ttnn.from_torch(torch.tensor([[1, -1, 5, 7]], dtype=torch.int32), device=mesh)
    with pytest.raises(RuntimeError, match="its option True, given without a name, is not emulated"):
        ttnn.plus_one(numbers, None, True)


def test_a_halo_over_less_than_all_rows_is_refused(mesh):
    """logical_h says how many rows are no padding; it was swallowed, and the values were wrong."""
    x = ttnn.to_layout(replicate(torch.randn(1, 2, 8, 8, 32), mesh), ttnn.ROW_MAJOR_LAYOUT)
    grid = mesh.compute_with_storage_grid_size()
    cores = ttnn.CoreRangeSet({ttnn.CoreRange(ttnn.CoreCoord(0, 0), ttnn.CoreCoord(grid.x - 1, grid.y - 1))})
    semaphores = [[ttnn.create_global_semaphore(mesh, cores, 0)] for _ in range(2)]
    with pytest.raises(RuntimeError, match="logical_h=6 is not emulated"):
        ttnn.experimental.neighbor_pad_async(x, [2], [1], [1], "zeros", [0], *semaphores, num_links=[1], logical_h=6)


def test_a_seed_gives_the_same_numbers_each_time(mesh):
    x = torch.randn(3, 40)
    drawn = {
        "rand": lambda seed: ttnn.rand((3, 40), device=mesh, seed=seed),
        "uniform": lambda seed: ttnn.uniform(replicate(x, mesh), -2.0, 5.0, seed),
        "named": lambda seed: ttnn.uniform(replicate(x, mesh), seed=seed, **{"from": -2.0, "to": 5.0}),
    }
    for name, draw in drawn.items():
        first, again, other = (gather(draw(seed)).float() for seed in (5, 5, 6))
        assert torch.equal(first, again) and not torch.equal(first, other), name
        assert name == "rand" or (-2 <= first.min() < -1 and 4 < first.max() <= 5), name


# What would be wrong without a word


def test_statistics_that_training_updates(mesh):
    """Each chip moves its own, in place, towards its batch's; a copy from before stays what it was."""
    x, ones = torch.randn(8, 3, 32, 32) * torch.arange(1.0, 9).view(8, 1, 1, 1), torch.ones(1, 3, 1, 1)
    keep = dict(mesh=mesh, dtype=ttnn.float32)
    mean, variance = replicate(ones, **keep), replicate(3 * ones, **keep)
    before = ttnn.clone(variance)
    batches = shard(x + 4, mesh, dtype=ttnn.float32, sp=0)
    still = ttnn.batch_norm(batches, running_mean=mean, running_var=variance)
    assert torch.allclose(gather(still, sp=0), (x + 3) / (3 + 1e-5) ** 0.5, atol=1e-3)
    ttnn.batch_norm(batches, running_mean=mean, running_var=variance, training=True, momentum=0.25)
    rows = lambda kept: torch.stack(list(shards_of(kept).values()))
    moved = 0.75 * 1 + 0.25 * (x + 4).mean((2, 3)), 0.75 * 3 + 0.25 * x.var((2, 3), unbiased=False)
    for kept, wanted in zip((mean, variance), moved):
        got = {tuple(round(float(v), 2) for v in part.flatten()) for part in rows(kept)}
        assert got == {tuple(round(float(v), 2) for v in row) for row in wanted}
    assert torch.equal(gather(before), 3 * ones)


def test_a_batch_normed_by_itself(mesh):
    x, w, b = torch.randn(2, 3, 33, 31), torch.randn(1, 3, 1, 1), torch.randn(1, 3, 1, 1)
    x, weight, bias = (replicate(part, mesh, dtype=ttnn.float32) for part in (x, w, b))
    got = gather(ttnn.batch_norm(x, training=True, weight=weight, bias=bias, eps=0.1))
    wanted = torch.nn.functional.batch_norm(gather(x), None, None, w.flatten(), b.flatten(), training=True, eps=0.1)
    assert torch.allclose(got, wanted, atol=1e-3)


def test_a_sigmoid_of_columns_only(mesh):
    x = replicate(torch.randn(1, 1, 37, 70), mesh)
    assert torch.allclose(gather(ttnn.sigmoid(x, vector_mode=4)).float(), gather(x).float().sigmoid(), atol=0.01)
    with pytest.raises(RuntimeError, match="vector_mode=2 is not emulated"):
        ttnn.sigmoid(x, vector_mode=2)


def test_gradients_that_would_be_clipped_in_place(mesh):
    with pytest.raises(NotImplementedError, match=r"moreh_clip_grad_norm writes over its inputs.*Multiply"):
        ttnn.moreh_clip_grad_norm([replicate(torch.randn(1, 1, 64, 64), mesh)], 1.0)


def test_an_op_on_some_chips_of_a_mesh(mesh):
    """ttnn would take the process with it; reading them is what they are for."""
    x, five = torch.randn(1, 1, 37, 70), ttnn.from_torch(torch.full((1, 1, 37, 70), 5.0), layout=ttnn.TILE_LAYOUT)
    whole = replicate(x, mesh, dtype=ttnn.float32)
    part = ttnn.get_device_tensors(whole)[3]
    for call in (lambda: ttnn.multiply(part, 2.0), lambda: ttnn.copy_host_to_device_tensor(five, part)):
        with pytest.raises(RuntimeError, match="lies on some chips of its mesh only.*Use a submesh"):
            call()
    assert torch.equal(ttnn.to_torch(part), x) and torch.equal(gather(whole), x)
    four = ttnn.ShardTensorToMesh(mesh, dim=0)
    with pytest.raises(RuntimeError, match="fewer parts than chips"):
        ttnn.from_torch(torch.randn(4, 1, 32, 32), layout=ttnn.TILE_LAYOUT, device=mesh, mesh_mapper=four)


@pytest.mark.parametrize("layout", [ttnn.TILE_LAYOUT, ttnn.ROW_MAJOR_LAYOUT])
def test_a_view_that_would_mix_up_what_lies_in_memory(mesh, layout):
    good = {(1, 2, 64, 48): (2, 64, 48), (2, 32, 64): (1, 64, 64)}
    bad = {(1, 1, 64, 64): (1, 1, 128, 32)} | ({(1, 2, 20, 64): (1, 1, 40, 64)} if layout == ttnn.TILE_LAYOUT else {})
    for old, new in good.items():
        x = torch.randn(old)
        seen = ttnn.experimental.view(replicate(x, mesh, dtype=ttnn.float32, layout=layout), new)
        assert torch.equal(gather(seen), x.reshape(new))
    for old, new in bad.items():
        with pytest.raises(RuntimeError, match="would mix up the numbers.*Use ttnn.reshape"):
            ttnn.experimental.view(replicate(torch.randn(old), mesh, layout=layout), new)


def test_a_core_has_no_values_of_its_own(mesh):
    with pytest.raises(NotImplementedError, match="extract_shard is not emulated"):
        replicate(torch.randn(1, 1, 32, 64), mesh).extract_shard(ttnn.CoreCoord(0, 0))


TWO_QUEUES = """
import torch
import ttnn

mesh = ttnn.open_mesh_device(ttnn.MeshShape(1, 2), num_command_queues=2)
x = ttnn.from_torch(torch.full((1, 1, 32, 64), 3.0), layout=ttnn.TILE_LAYOUT, device=mesh, cq_id=1)
ttnn.wait_for_event(0, ttnn.record_event(mesh, 1))
print(ttnn.to_torch(ttnn.get_device_tensors(ttnn.from_device(ttnn.add(x, x)))[1]).unique().tolist())
ttnn.close_mesh_device(mesh)
"""


def test_two_command_queues_that_wait_for_each_other(tmp_path):
    """An n300 has too few worker cores to send for both; waiting for an event brings ttnn itself down without chips."""
    (tmp_path / "program.py").write_text(TWO_QUEUES)
    ended = tool(tmp_path, "run", "--system", "n300", "program.py")
    assert ended.returncode == 0 and "[6.0]" in ended.stdout, ended.stderr[-800:]


def test_what_would_crash_is_refused(mesh):
    with pytest.raises(NotImplementedError, match="load_sub_device_manager"):
        mesh.load_sub_device_manager(0)


def test_sampling_draws_among_the_best(mesh):
    generator = torch.Generator().manual_seed(4)
    scores = torch.stack([torch.randperm(64, generator=generator) for _ in range(32)]).float()[None, None] / 8
    names = torch.randperm(1000, generator=generator)[:64].int().expand(1, 1, 32, 64).contiguous()
    put = lambda x, dtype, layout=ttnn.ROW_MAJOR_LAYOUT: ttnn.from_torch(x, dtype=dtype, layout=layout, device=mesh)
    x, indices = put(scores, ttnn.bfloat16, ttnn.TILE_LAYOUT), put(names, ttnn.int32)

    def drawn(k, p, seed):
        each = {"k": put(torch.full((32,), k), ttnn.uint32), "p": put(torch.full((32,), p), ttnn.bfloat16)}
        out = ttnn.sampling(x, indices, **each, temp=put(torch.ones(32), ttnn.bfloat16), seed=seed)
        return ttnn.to_torch(ttnn.get_device_tensors(out)[7]).flatten().long()

    order = scores[0, 0].argsort(dim=-1, descending=True)
    best = names[0, 0].long().gather(-1, order)
    assert torch.equal(drawn(1, 0.9, 5), best[:, 0])  # of one, that one
    assert torch.equal(drawn(40, 0.01, 5), best[:, 0])  # the best alone reaches one per cent
    among = (drawn(3, 1.0, 5)[:, None] == best[:, :3]).any(-1)
    assert among.all() and not torch.equal(drawn(3, 1.0, 5), best[:, 0])
    assert torch.equal(drawn(3, 1.0, 5), drawn(3, 1.0, 5))


def test_threads_look_for_work_for_a_while_and_then_sleep(tmp_path):
    (tmp_path / "program.py").write_text("import os\nprint(os.environ['GOMP_SPINCOUNT'])")
    ended = tool(tmp_path, "run", "--system", "n150", "program.py")
    assert ended.stdout.strip() == "2000"
