"""What gpu_figures.py measures with: a device, figures that are on disk at once, and the model."""

import json
import time

import numpy as np
import torch


class Figures:
    """Named numbers, on disk as soon as they are known."""

    def __init__(self, path):
        self.path = path
        self.rows = []

    def add(self, name, value, unit, note="", peer="", peer_value=None):
        self.rows.append([name, value, unit, note, peer, peer_value])
        self.path.write_text(json.dumps(self.rows, indent=1))
        print(f"{name}: {value:.4g} {unit} {note}", flush=True)


class Machine:
    def __init__(self, device, tiny):
        self.device = torch.device(device)
        self.tiny = tiny
        self.cuda = self.device.type == "cuda"

    def wait(self):
        if self.cuda:
            torch.cuda.synchronize()

    def seconds(self, work, repeat=5):
        """The median of some calls after one to warm up."""
        taken = []
        for _ in range(1 + (1 if self.tiny else repeat)):
            started = time.perf_counter()
            work()
            self.wait()
            taken.append(time.perf_counter() - started)
        return float(np.median(taken[1:]))

    def forget_peak(self):
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak(self):
        return f"peak {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if self.cuda else ""


def model(size, embed_dim):
    from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, DualEncoder
    from mlcd_eval.encoders.towers.preprocess import Preprocess
    from mlcd_eval.encoders.towers.vit import VIT_SIZES

    vision = VIT_SIZES[size]
    preprocess = Preprocess(image_size=vision.image_size)
    return DualEncoder(CheckpointConfig(vision=vision, embed_dim=embed_dim, preprocess=preprocess))
