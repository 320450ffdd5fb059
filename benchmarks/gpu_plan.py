"""What scoring costs on a GPU, by arithmetic: operations, bytes, the most memory, and from these the time on an H200.

    .venv/bin/python benchmarks/gpu_plan.py        # ImageNet: 1,281,167 and 50,000 rows of 768, 1,000 classes

Nothing here is measured on a GPU. tests/pretend_gpu/check_scoring.py holds the counts against those of the pretend
device at a small size.
"""

from __future__ import annotations

from dataclasses import dataclass

SUSTAINED = {"fp32": 40e12, "fp64": 30e12, "memory": 3.4e12, "upload": 10e9}
"""Assumed, not measured, of an H200 SXM's data sheet: 60% of its 67 TFLOPS in fp32, 45% of them in fp64 (on tensor
cores), and 70% of its 4.8 TB/s; an upload reads features.npy through the page cache into pinned memory."""
LAMBDAS, PASSES = 15, 25
"""Candidates that the search of lambda tries, and passes over the data per fit; docs/scaling.md counts 90 to 260 passes
in all, this plan 400."""


@dataclass(frozen=True)
class Cost:
    """fp32, fp64: multiplications and additions of matrix products. traffic: bytes that operations read and write.
    uploaded: bytes. peak: the most bytes on the GPU at a time."""

    fp32: float
    fp64: float
    traffic: float
    uploaded: float
    peak: float

    @property
    def seconds(self) -> float:
        """The time, if products, other operations and uploads follow each other."""
        work = {"fp32": self.fp32, "fp64": self.fp64, "memory": self.traffic, "upload": self.uploaded}
        return sum(amount / SUSTAINED[what] for what, amount in work.items())


def knn(train: int, test: int, dim: int, k: int, tile: tuple[int, int] = (2048, 1 << 16)) -> Cost:
    """kNN: every train tile is uploaded once and compared with all test rows, which stay on the GPU."""
    block, width = min(tile[0], test), min(tile[1], train)
    tiles, pairs = -(-train // width), -(-train // width) * -(-test // block)
    values = 4 * train * test  # similarities, float32: written once, read by topk and gather
    neighbours = 12 * (k + 1) * test  # a float32 and an int64 each
    return Cost(
        fp32=2 * train * test * dim,
        fp64=0,
        traffic=5 * values
        + pairs * 4 * dim * (block + width)
        + 24 * neighbours * tiles
        + 10 * 4 * dim * (train + test),
        uploaded=4 * dim * (train + test),
        peak=4 * dim * test + 5 * 4 * dim * width + 2 * 4 * block * width + 8 * neighbours,
    )


def linear_probe(
    train: int, dim: int, classes: int, lambdas: int = LAMBDAS, passes: int = PASSES, test: int = 0, val: float = 0.2
) -> Cost:
    """The probe: features stay on the GPU for the search of lambda on a part of train, then all rows are fitted.

    A pass is one product for the direction and one for the gradient. Logits, what a step adds to them and residuals are
    kept (4 bytes each per row and class), and operations read or write such an array at most 44 times per pass.
    """
    rows = train * ((1 - val) * lambdas + 1) * passes
    scored = 2 * train * val * lambdas + test
    arrays = 3 * 4 * train * classes
    return Cost(
        fp32=1.2 * 4 * rows * dim * classes,  # a fifth more for preconditioners and L-BFGS
        fp64=2 * scored * dim * classes + 8 * train * dim**2,
        traffic=44 * 4 * rows * classes + 2 * 4 * rows * dim + 4 * 8 * scored * classes + 8 * 8 * train * dim,
        uploaded=4 * dim * (train + test),
        peak=arrays + 4 * dim * train + small_parts(train, dim, classes),
    )


def small_parts(train: int, dim: int, classes: int, numbers: int = 1 << 26) -> float:
    """The probe's memory besides features and logits: parts of `numbers` at a time, the pairs of L-BFGS, and the hard
    samples of each class, twice."""
    part = min(numbers, train * max(dim, classes))
    hard, pairs = 96, 30
    of_class = 4 * (3 * pairs * (dim + 1) + 3 * hard * (dim + 1) + 5 * hard**2)
    return 5 * 4 * part + classes * of_class + 6 * 8 * dim**2


def retrieval(images: int, texts: int, dim: int, tile: int = 8192) -> Cost:
    """Retrieval: one pass over the similarities, in tiles."""
    cells = min(tile, images) * min(tile, texts)
    return Cost(
        fp32=2 * images * texts * dim,
        fp64=0,
        traffic=10 * 4 * images * texts + 20 * 4 * dim * (images + texts),
        uploaded=4 * dim * (images + texts),
        peak=2 * 4 * dim * (images + texts) + 3 * 4 * cells + 6 * 8 * dim * min(tile, texts),
    )


def kmeans(rows: int, dim: int, centres: int, iterations: int) -> Cost:
    """k-means: rows are uploaded once; every iteration compares all with all centres."""
    passes = iterations + 1
    return Cost(
        fp32=2 * rows * dim * centres * passes,
        fp64=0,
        traffic=(2 * 4 * rows * centres + 5 * 4 * rows * dim) * passes,
        uploaded=4 * rows * dim,
        peak=4 * rows * dim + 4 * 4 * dim * centres + 4 * min(1 << 28, min(1 << 14, rows) * centres) + 40 * rows,
    )


IMAGENET = {
    "kNN": knn(1_281_167, 50_000, 768, 200),
    "linear probe": linear_probe(1_281_167, 768, 1000, test=50_000),
    "zero-shot": Cost(2 * 50_000 * 768 * 1000, 0, 8 * 4 * 50_000 * 1000, 4 * 768 * 50_000, 2e9),
    "retrieval (COCO)": retrieval(5000, 25_010, 512),
}


def main() -> None:
    """Print the table."""
    print("| | fp32 TFLOP | fp64 TFLOP | traffic GB | uploaded GB | peak GB | s |\n|---|--:|--:|--:|--:|--:|--:|")
    for name, cost in IMAGENET.items():
        print(
            f"| {name} | {cost.fp32 / 1e12:,.1f} | {cost.fp64 / 1e12:,.1f} | {cost.traffic / 1e9:,.0f} | "
            f"{cost.uploaded / 1e9:.1f} | {cost.peak / 1e9:.1f} | {cost.seconds:.1f} |"
        )
    print(f"\nall: {sum(cost.seconds for cost in IMAGENET.values()):.0f} s")


if __name__ == "__main__":
    main()
