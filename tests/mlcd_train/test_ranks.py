"""Every objective on two ranks, some in parts: loss, gradients and class centres of one rank with the whole batch."""

import pytest
import torch
from tiny_objectives import OBJECTIVES, batch, gradients, model
from two_ranks import on_two_ranks

from mlcd_train.data.batches import Batch
from mlcd_train.distributed import average_gradients
from mlcd_train.sections import OptimizerConfig

PARTS = {name: 1 + place % 2 for place, name in enumerate(OBJECTIVES)}


def trained(name, parts, data):
    """Two steps: their losses, the gradients of the second, and the class centres after it."""
    objective = OBJECTIVES[name](model())
    losses = []
    for _ in range(2):
        terms, _ = gradients(objective, parts, data)
        average_gradients([parameter for _, parameter in objective.parameters])
        objective.update(0.1, OptimizerConfig(weight_decay=0.1), 1.0)
        losses.append(terms["loss"])
    grads = {n: p.grad.clone() for n, p in objective.parameters if p.grad is not None}
    return losses, grads, {n: rows.weight for n, rows in objective.centres().items()}


def _rank(rank, port, results):
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", world_size=2, rank=rank)
    mine, data = slice(4 * rank, 4 * rank + 4), batch()
    part = Batch(data.keys[mine], data.images[mine], data.texts[mine], data.after)
    outcomes = {}
    for name, parts in PARTS.items():
        losses, grads, centres = trained(name, parts, part)
        grads = {n: grad.numpy().copy() for n, grad in grads.items()}
        outcomes[name] = losses, grads, {n: rows.numpy().copy() for n, rows in centres.items()}
    results.put((rank, outcomes))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_ranks_train_what_one_does(unused_port):
    by_rank = dict(on_two_ranks(_rank, unused_port))
    for name in OBJECTIVES:
        losses, grads, centres = trained(name, 1, batch())
        for rank in (0, 1):
            assert by_rank[rank][name][0] == pytest.approx(losses, rel=1e-5), name
            theirs = by_rank[rank][name][1]
            assert theirs.keys() == grads.keys()
            for parameter, grad in grads.items():
                gap = torch.from_numpy(theirs[parameter]) - grad
                assert gap.norm() <= 1e-4 * grad.norm() + 1e-6, (name, parameter)
        for kind, rows in centres.items():
            shards = [torch.from_numpy(by_rank[rank][name][2][kind]) for rank in (0, 1)]
            torch.testing.assert_close(torch.cat(shards), rows, rtol=1e-3, atol=1e-4, msg=name)
