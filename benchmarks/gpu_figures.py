"""The figures of the goals on a GPU, with peers beside them where they are installed. gpu_day.sh calls both commands.

python benchmarks/gpu_figures.py measure OUT [--device cpu] [--tiny] [--seconds N]
    Measures until N seconds are over, the most important figures first, and writes OUT/figures.json after each.
python benchmarks/gpu_figures.py report OUT
    Prints the figures as a table, the losses of trainings, and metrics of OUT/eval_device beside those of OUT/eval_cpu.
"""

import argparse
import importlib.util
import time
import traceback
from pathlib import Path

import numpy as np
import torch
from gpu_machine import Figures, Machine, model
from gpu_report import report

PEAK = 989e12  # operations per second of an H100 or H200 in bf16, without sparsity


def encode(machine, figures, out):
    """Encoding JPEGs, and 8-bit pixels that are decoded already, against the forward pass alone."""
    from photos import write_dataset

    from mlcd_eval.data import open_dataset
    from mlcd_eval.encoders.adapters.checkpoint import CheckpointEncoder
    from mlcd_eval.encoders.stages import stages
    from mlcd_eval.features.encode import EncodeOptions, encode_split
    from mlcd_eval.features.forward import Forward
    from mlcd_eval.features.overlap import Overlap
    from mlcd_eval.features.workers import default_workers

    count, rows = (48, 8) if machine.tiny else (12288, 256)
    write_dataset(out / "photos", count)
    split = open_dataset(f"wds:{out / 'photos'}").split("test")
    split.scan()
    workers = 1 if machine.tiny else default_workers(machine.device)
    for size in ("vit_tiny_16_64",) if machine.tiny else ("vit_base_32_224", "vit_large_14_224"):
        encoder = CheckpointEncoder(size, model(size, 64)).to(machine.device)
        prepared = stages(encoder)
        forward = Forward(encoder, "fp32" if machine.tiny else "fp16", rows, prepared)
        pixels = torch.zeros(rows, *prepared.shape, dtype=prepared.dtype)
        ready = prepared.to(machine.device).finish(pixels.to(machine.device))
        precision = "fp32" if machine.tiny else "fp16"
        amp = torch.autocast(machine.device.type, torch.float16, enabled=not machine.tiny)

        def alone(encoder=encoder, ready=ready, amp=amp):
            with torch.inference_mode(), amp:
                encoder.encode_images(ready, ["penultimate"])

        def ready_pixels(encoder=encoder, forward=forward, pixels=pixels):
            for _ in Overlap(encoder)(lambda batch: forward.images(batch, ["penultimate"]), [pixels] * 10):
                pass

        only = rows / machine.seconds(alone, 20)
        figures.add(f"{size} {precision}: forward only", only, "images/s")
        rate = 10 * rows / machine.seconds(ready_pixels, 3)
        figures.add(f"{size} {precision}: from decoded pixels", rate, "images/s", f"{rate / only:.2f} of forward only")
        for decoder in ("pil", "torch", *(["torchcodec"] if importlib.util.find_spec("torchcodec") else [])):
            started = time.perf_counter()
            options = EncodeOptions(out / f"cache_{size}_{decoder}", precision, rows, workers)
            encode_split(_with_decoder(encoder, decoder), split, ["penultimate"], options)
            rate = count / (time.perf_counter() - started)
            note = f"{rate / only:.2f} of forward only, {workers} workers"
            figures.add(f"{size} {precision}: encode JPEGs, {decoder}", rate, "images/s", note)


def _with_decoder(encoder, decoder):
    from mlcd_eval.features.decoders import with_decoder

    return with_decoder(encoder, decoder)


def training(machine, figures, out):
    """A training step of ViT-B/32 in bf16 with a million class centres, on pixels that are on the device."""
    from mlcd_train.centres import ClassCentres
    from mlcd_train.data.batches import Batch
    from mlcd_train.loop import autocast
    from mlcd_train.losses import mlcd_of_sums
    from mlcd_train.objectives.discrimination import ClusterDiscrimination
    from mlcd_train.optimizer import make_optimizer
    from mlcd_train.sections import OptimizerConfig

    size, batch_size, classes = ("vit_tiny_16_64", 8, 2000) if machine.tiny else ("vit_base_32_224", 4096, 1_000_000)
    device = machine.device
    labels = torch.randint(classes, (batch_size, 8))
    config = OptimizerConfig()
    for how in ("eager",) if machine.tiny else ("eager", "compiled"):
        machine.forget_peak()
        towers = model(size, 512).to(device)
        if how == "compiled":
            towers.visual.compile()
        centres = ClassCentres(classes, 512, mlcd_of_sums, ratio=0.1, device=str(device))
        objective = ClusterDiscrimination(towers, centres, lambda keys: labels, 1.0)
        optimizer = make_optimizer(objective.parameters, config)
        vision = towers.config.vision
        images = torch.randn(batch_size, 3, vision.image_size, vision.image_size, device=device)
        batch = Batch([""] * batch_size, images, [], {})
        number = iter(range(1_000_000))

        objective.prepare(batch, next(number))

        def train(objective=objective, optimizer=optimizer, batch=batch, number=number):
            with autocast(device, "fp32" if machine.tiny else "bf16"):
                objective.step(batch, 0, 1, lambda loss: loss.backward())
            objective.prepare(batch, next(number))
            objective.finite()
            torch.nn.utils.clip_grad_norm_([parameter for _, parameter in objective.parameters], 1.0)
            optimizer.step()
            objective.update(1e-3, config, 1.0)
            optimizer.zero_grad(set_to_none=True)

        taken = machine.seconds(train)
        tokens = vision.grid**2 + 1
        per_image = vision.depth * (12 * vision.width**2 * tokens + 2 * tokens**2 * vision.width)
        per_image += 3 * vision.patch_size**2 * vision.width * (tokens - 1)
        name = f"step of {size}, {classes:,} centres, {how}"
        figures.add(name, batch_size / taken, "images/s", f"{1e3 * taken:.0f} ms for {batch_size}; {machine.peak()}")
        share = 6 * per_image * batch_size / taken / PEAK
        figures.add(f"{name}: MFU of the tower", 100 * share, "%", f"of {PEAK / 1e12:.0f} TFLOP/s")


def clusters(machine, count, dim, classes):
    """Features (N, D) of random classes with unequal variances, and labels."""
    generator = torch.Generator(machine.device).manual_seed(0)
    labels = torch.randint(classes, (count,), generator=generator, device=machine.device)
    means = torch.randn(classes, dim, generator=generator, device=machine.device)
    scale = torch.logspace(0, -3, dim, device=machine.device)
    features = np.empty((count, dim), np.float32)
    for start in range(0, count, 1 << 17):
        part = slice(start, min(start + (1 << 17), count))
        noise = torch.randn(part.stop - start, dim, generator=generator, device=machine.device)
        features[part] = ((0.35 * means[labels[part]] + noise) * scale).cpu().numpy()
    return features, labels.cpu().numpy()


def score(machine, protocol, **inputs):
    """Seconds and scores of a protocol with its default settings."""
    from mlcd_eval.protocols.base import Inputs
    from mlcd_eval.protocols.registry import get_protocol

    made = get_protocol(protocol)
    machine.forget_peak()
    started = time.perf_counter()
    scores = made.score(made.Settings(), Inputs(device=str(machine.device), **inputs))
    machine.wait()
    return time.perf_counter() - started, scores


def probe(machine, figures, out):
    """Search and last fit of the linear probe on features of ImageNet's size, and kNN on the same."""
    from mlcd_eval.protocols.base import Features

    train, test, dim, classes = (600, 60, 16, 5) if machine.tiny else (1_281_167, 50_000, 768, 1000)
    x, y = clusters(machine, train + test, dim, classes)
    keys = [str(number) for number in range(train + test)]
    images = {
        "train": Features(x[:train], keys[:train], y[:train]),
        "test": Features(x[train:], keys[train:], y[train:]),
    }
    taken, scores = score(machine, "linear_probe", images=images)
    note = f"{scores.metrics[0].name} {scores.metrics[0].value:.3f}; {machine.peak()}"
    peer, seconds = _sklearn_probe(x[:train], y[:train]) if machine.tiny else ("", None)
    figures.add(f"linear probe, {train:,} x {dim}, {classes:,} classes", taken, "s", note, peer, seconds)
    taken, scores = score(machine, "knn", images=images)
    note = f"{scores.metrics[0].name} {scores.metrics[0].value:.3f}; {machine.peak()}"
    figures.add(f"kNN, {test:,} against {train:,}", taken, "s", note)


def _sklearn_probe(x, y):
    """One fit, where our figure is a whole search; at full size it takes hours."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        return "", None
    started = time.perf_counter()
    LogisticRegression(C=1.0, max_iter=1000).fit(x, y)
    return "scikit-learn, one fit", time.perf_counter() - started


def retrieval(machine, figures, out):
    """Both directions between images and texts, one caption per image."""
    from mlcd_eval.protocols.base import Features

    count, dim = (300, 16) if machine.tiny else (100_000, 512)
    rng = np.random.default_rng(0)
    image = rng.standard_normal((count, dim), np.float32)
    text = image + 2 * rng.standard_normal((count, dim), np.float32)
    keys = [str(number) for number in range(count)]
    features = Features(image, keys, texts=[(key,) for key in keys])
    rows = {key: number for number, key in enumerate(keys)}
    taken, scores = score(
        machine,
        "retrieval",
        images={"test": features},
        encode_texts=lambda texts: text[[rows[key] for key in texts]],
    )
    note = f"{scores.primary} {scores.metrics[0].value:.3f}; {machine.peak()}"
    peer, seconds = _product(machine, image, text)
    figures.add(f"retrieval, {count:,} x {count:,}", taken, "s", note, peer, seconds)


def _product(machine, image, text):
    """The bound: the product of all pairs and a top 10, without anything around it."""
    a, b = torch.from_numpy(image).to(machine.device), torch.from_numpy(text).to(machine.device)
    started = time.perf_counter()
    for part in a.split(4096):
        (part @ b.T).topk(10, dim=1)
    machine.wait()
    return "product and top 10, one direction", time.perf_counter() - started


def kmeans(machine, figures, out):
    """Passes of spherical k-means."""
    from mlcd_train.clustering import spherical_kmeans

    count, dim, k, passes = (2000, 16, 20, 2) if machine.tiny else (1_000_000, 512, 100_000, 2)
    x = np.random.default_rng(0).standard_normal((count, dim), np.float32)
    machine.forget_peak()
    started = time.perf_counter()
    spherical_kmeans(x, k, torch.Generator().manual_seed(0), iterations=passes, device=str(machine.device))
    machine.wait()
    taken = (time.perf_counter() - started) / (passes + 1)  # the last assignment is a pass too
    note = f"{2 * count * k * dim / taken / 1e12:.1f} TFLOP/s; {machine.peak()}"
    peer, seconds = _faiss(x, k, passes, machine.cuda)
    figures.add(f"k-means, a pass, {count:,} to {k:,}", taken, "s", note, peer, seconds)


def _faiss(x, k, passes, cuda):
    try:
        import faiss
    except ImportError:
        return "", None
    if cuda and not hasattr(faiss, "StandardGpuResources"):
        return "", None
    peer = faiss.Kmeans(x.shape[1], k, niter=passes, spherical=True, gpu=cuda, max_points_per_centroid=1 << 30)
    started = time.perf_counter()
    peer.train(x)
    return "faiss", (time.perf_counter() - started) / passes


PARTS = ((training, 40), (encode, 50), (probe, 100), (retrieval, 10), (kmeans, 20))
"""Functions, and the seconds that each should have left on a GPU."""


def measure(args):
    machine, ends, failed = Machine(args.device, args.tiny), time.monotonic() + args.seconds - 5, False
    figures = Figures(args.out / "figures.json")
    for part, needs in PARTS:
        if ends - time.monotonic() < (0 if args.tiny else needs):
            print(f"no time for {part.__name__}")
            failed = True
            continue
        try:
            part(machine, figures, args.out)
        except Exception:  # the next part may fare better
            print(f"FAILED {part.__name__}")
            traceback.print_exc()
            failed = True
        machine.forget_peak()
    return int(failed)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("measure", "report"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--seconds", type=float, default=300)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    return (measure if args.command == "measure" else report)(args)


if __name__ == "__main__":
    raise SystemExit(main())
