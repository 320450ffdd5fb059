"""A training step with a million class centres: sampled (ours) against dense, each in a separate process.

python benchmarks/centres.py [sampled|dense]     both by default, one after the other
"""

import platform
import resource
import subprocess
import sys
import time

CLASSES, DIM, BATCH, POSITIVES, RATIO, STEPS = 1_000_000, 512, 256, 8, 0.1, 3


def data():
    import torch

    generator = torch.Generator().manual_seed(0)
    features = torch.randn(BATCH, DIM, generator=generator, requires_grad=True)
    return features, torch.randint(CLASSES, (BATCH, POSITIVES), generator=generator)


def sampled():
    from mlcd_train.centres import ClassCentres
    from mlcd_train.losses import mlcd_of_sums

    features, labels = data()
    bank = ClassCentres(CLASSES, DIM, mlcd_of_sums, ratio=RATIO)
    for number in range(STEPS):
        started = time.perf_counter()
        draw = bank.draw(labels, number)
        bank.forward(features, labels, draw).loss.backward()
        bank.update(draw, lr=1e-3, weight_decay=0.2)
        yield time.perf_counter() - started


def dense():
    """A plain implementation: every class is a negative, one parameter, torch's fused-loop AdamW."""
    import torch
    from torch.nn.functional import normalize

    from mlcd_train.losses import additive_angular_margin, mlcd_loss

    features, labels = data()
    weight = torch.nn.Parameter(0.01 * torch.randn(CLASSES, DIM))
    optimizer = torch.optim.AdamW([weight], lr=1e-3, weight_decay=0.2)
    for _ in range(STEPS):
        started = time.perf_counter()
        cosine = normalize(features, dim=1) @ normalize(weight, dim=1).T
        positive = additive_angular_margin(cosine.gather(1, labels), 0.3, 64.0)
        negative = (64.0 * cosine).scatter(1, labels, -torch.inf)
        mlcd_loss(positive, negative).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        yield time.perf_counter() - started


def main():
    if len(sys.argv) == 2:
        times = list({"sampled": sampled, "dense": dense}[sys.argv[1]]())
        print(min(times[1:]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        return
    import torch

    machine = (
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    print(f"K = {CLASSES:,}, D = {DIM}, batch {BATCH}, l = {POSITIVES}, r = {RATIO}")
    print(f"{machine}; best of {STEPS - 1} steps, after one step to warm up")
    figures = {}
    for side in ("sampled", "dense"):
        done = subprocess.run([sys.executable, __file__, side], capture_output=True, text=True, check=True)
        figures[side] = seconds, peak = tuple(map(float, done.stdout.split()))
        print(f"{side}: {seconds:.2f} s per step, peak {peak:.1f} GiB (weights and both moments: 5.7 GiB)")
    print(f"ratio dense / sampled: {figures['dense'][0] / figures['sampled'][0]:.1f}x")


if __name__ == "__main__":
    main()
