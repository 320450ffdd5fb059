"""Models that disturb a cluster: `--model python:cluster_models:NAME`. Texts and images are encoded as by tiny_encoder.

SLOW: seconds per batch. CHUNK: images per chunk. WORKERS: a folder in which each worker that encodes leaves
`NAME.PROCESS` with the number of images that it has encoded.
"""

import dataclasses
import os
import signal
import time
from pathlib import Path

from tiny_encoder import TinyEncoder

from mlcd_eval.features import encode, pieces

encode.CHUNK = int(os.environ.get("CHUNK", "64"))
pieces.SECONDS = 1.0


class Slow(TinyEncoder):
    """Takes its time, and shares no stored features with other models."""

    def __init__(self, letter="s"):
        super().__init__()
        self.letter, self.encoded = letter, 0
        self.info = dataclasses.replace(self.info, fingerprint=letter * 64)

    def encode_images(self, pixels, layers):
        if self.probed:
            time.sleep(float(os.environ.get("SLOW", "0")))
            self.encoded += len(pixels)
            (Path(os.environ["WORKERS"]) / f"{self.letter}.{os.getpid()}").write_text(str(self.encoded))
        return super().encode_images(pixels, layers)


def slow():
    return Slow()


def cannot_load():
    raise RuntimeError("a model that cannot load")


def damaged():
    from mlcd_eval.errors import CheckpointError

    raise CheckpointError("the weights of this model are damaged")


class Dies(Slow):
    """Kills its worker with its second batch."""

    def encode_images(self, pixels, layers):
        outputs = super().encode_images(pixels, layers)
        if self.encoded > len(pixels):
            os.kill(os.getpid(), signal.SIGKILL)
        return outputs


def dies():
    return Dies("d")


class Eats(Slow):
    """Takes more memory than there is."""

    def encode_images(self, pixels, layers):
        outputs = super().encode_images(pixels, layers)
        eaten = []
        while self.encoded:
            eaten.append(b"x" * (64 << 20))
            time.sleep(0.02)
        return outputs


def eats():
    return Eats("e")


class Sees(Slow):
    """Other weights on each rank."""

    def __init__(self):
        super().__init__(os.environ.get("RANK", "0"))


def sees():
    return Sees()
