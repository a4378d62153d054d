"""A model in two processes of torch.distributed over gloo; `test_materialized` runs it."""

import os
import pickle
import sys

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import distribute_tensor
from torch.nn.parallel import DistributedDataParallel

import rope_torch
from rope_spec import RopeSpec, Strategy

STRATEGIES: tuple[Strategy, ...] = ("lazy", "doubling", "fixed", "split_table", "table_free")
SPEC, POSITIONS = RopeSpec(head_dim=32), torch.arange(12).reshape(2, 6)


class Layer(nn.Module):
    """A projection and the rotation of what it gives."""

    def __init__(self, strategy: Strategy) -> None:
        super().__init__()
        self.project = nn.Linear(32, 32)
        length = 0 if strategy == "table_free" else 12
        self.rope = rope_torch.RotaryEmbedding(SPEC, strategy=strategy, length=length)

    def forward(self, x: Tensor) -> Tensor:
        return self.rope(self.project(x), POSITIONS)


def check(strategy: Strategy, x: Tensor) -> None:
    torch.manual_seed(0)
    layer = Layer(strategy)
    expected = layer(x)
    with torch.device("meta"):
        sharded = Layer(strategy)
    mesh = init_device_mesh("cpu", (2,))
    fully_shard(sharded, mesh=mesh)
    sharded.to_empty(device="cpu")
    with torch.no_grad():
        for ours, theirs in zip(sharded.parameters(), layer.parameters(), strict=True):
            ours.copy_(distribute_tensor(theirs, mesh))
    assert torch.equal(sharded(x), expected)
    replicated = DistributedDataParallel(layer)
    assert torch.equal(replicated(x), expected)
    replicated(x).sum().backward()
    sent = [pickle.dumps(layer) if dist.get_rank() == 0 else b""]
    dist.broadcast_object_list(sent)
    assert torch.equal(pickle.loads(sent[0])(x), expected)


if __name__ == "__main__":
    rank, file = int(os.environ["RANK"]), f"file://{sys.argv[1]}"
    dist.init_process_group("gloo", init_method=file, rank=rank, world_size=2)
    for strategy in STRATEGIES:
        check(strategy, torch.randn(2, 3, 6, 32, generator=torch.Generator().manual_seed(1)))
    dist.destroy_process_group()
