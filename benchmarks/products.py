"""What TF32 and bf16 products change of clusters, labels and losses, and what a search by groups changes of clusters.

python benchmarks/products.py     about a minute of one core; on a machine with a GPU also the times

The rows are drawn around more directions than there are centres, as features of images are. On a CPU, which has no
TF32, its factors are rounded to the nearest numbers with 10 bits of mantissa, as a GPU does.
"""

import time
from unittest import mock

import torch
from torch.nn.functional import normalize

from mlcd_train import products
from mlcd_train.assignment import nearest_centres
from mlcd_train.centres import ClassCentres
from mlcd_train.clustering import spherical_kmeans
from mlcd_train.losses import mlcd_of_sums

ROWS, DIM, CLUSTERS, LABELS, BATCH = 20_000, 512, 1_000, 8, 256
KINDS = ("fp32", "tf32", "bf16")


def rounded(tensor):
    """To TF32."""
    bits = tensor.contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


def multiplied(left, right, kind):
    """As mlcd_train.products does, but with TF32 on a CPU."""
    return rounded(left) @ rounded(right) if kind == "tf32" else REAL(left, right, kind)


REAL = products._multiplied


def features(device):
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(3 * CLUSTERS, DIM, generator=generator)
    which = torch.randint(3 * CLUSTERS, (ROWS,), generator=generator)
    return normalize(directions[which] + 1.5 * torch.randn(ROWS, DIM, generator=generator), dim=1).to(device)


def steps(rows, labels, kind, device):
    """Losses of 20 steps, with free features so that only the products differ."""
    images = rows[:BATCH].clone().requires_grad_()
    bank = ClassCentres(CLUSTERS, DIM, mlcd_of_sums, ratio=0.2, products=kind, device=device)
    losses = []
    for number in range(20):
        drawn = bank.draw(labels[:BATCH], number)
        loss = bank.forward(images, labels[:BATCH], drawn).loss
        images.grad = None
        loss.backward()
        bank.update(drawn, lr=0.01)
        with torch.no_grad():
            images -= 0.1 * images.grad
        losses.append(float(loss.detach()))
    return torch.tensor(losses)


def cluster(rows, **options):
    device = str(rows.device)
    clock = time.perf_counter if device == "cuda" else time.process_time  # the CPU's own time, whoever else computes
    started = clock()
    found = spherical_kmeans(rows, CLUSTERS, torch.Generator().manual_seed(0), tolerance=-1, iterations=8,
                             device=device, **options)  # fmt: skip
    return found, clock() - started


def main():
    device = "cuda" if torch.cuda.is_available() else "cpu"
    replaced = REAL if device == "cuda" else multiplied
    rows = features(device)
    print(f"{ROWS:,} rows x {DIM}, {CLUSTERS:,} centres, {LABELS} labels, on {device}, torch {torch.__version__}")
    with mock.patch.object(products, "_multiplied", replaced):
        exact, seconds = cluster(rows)
        labels, _ = nearest_centres(rows, exact.centres, LABELS)
        losses = steps(rows, labels, "fp32", device)
        print(f"fp32: inertia {exact.inertia[-1]:.5f}, loss {losses[0]:.4f} to {losses[-1]:.4f}, {seconds:.1f} s")
        for kind in KINDS[1:]:
            ours, seconds = cluster(rows, products=kind)
            near, _ = nearest_centres(rows, exact.centres, LABELS, products=kind)
            kept = (near[..., None] == labels[:, None]).any(dim=2).float().mean()
            off = ((steps(rows, labels, kind, device) - losses).abs() / losses).max()
            print(
                f"{kind}: inertia / fp32's {ours.inertia[-1] / exact.inertia[-1]:.5f}; of the {LABELS} labels "
                f"{100 * kept:.2f}% are fp32's, of the first {100 * (near[:, 0] == labels[:, 0]).float().mean():.2f}%; "
                f"losses of 20 steps differ by {100 * off:.4f}% at most; {seconds:.1f} s"
            )
        again, _ = cluster(rows + 1e-7)
        print(f"fp32 with rows moved by 1e-7: inertia / fp32's {again.inertia[-1] / exact.inertia[-1]:.5f}")
        groups, seconds = cluster(rows, search="grouped")
        print(f"search by groups: inertia / fp32's {groups.inertia[-1] / exact.inertia[-1]:.5f}, {seconds:.1f} s")


if __name__ == "__main__":
    main()
