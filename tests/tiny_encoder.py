"""A deterministic encoder that costs nothing, as a user would write one: `--model python:tiny_encoder:make`."""

import numpy as np
import torch

from mlcd_eval.encoders.base import Encoder, EncoderInfo

SIZE = 8


def preprocess(image):
    pixels = np.asarray(image.resize((SIZE, SIZE)), dtype=np.float32) / 255
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


class TinyEncoder(Encoder):
    """penultimate: the thumbnail; projected: 32 random directions of it; a text: the directions of its letters."""

    images_seen = 0

    def __init__(self, has_text=True):
        layers = {"penultimate": 3 * SIZE * SIZE, **({"projected": 32} if has_text else {})}
        self.info = EncoderInfo("", "", "t" * 64, f"resize to {SIZE}", layers, (SIZE, SIZE), 0, has_text)
        self.preprocess = preprocess
        self.directions = torch.randn(3 * SIZE * SIZE, 32, generator=torch.Generator().manual_seed(0))

    def encode_images(self, pixels, layers):
        TinyEncoder.images_seen += len(pixels)
        flat = pixels.flatten(1) - 0.5
        outputs = {"penultimate": flat, "projected": flat @ self.directions}
        return {layer: outputs[layer] for layer in layers}

    def encode_texts(self, texts):
        if not self.info.has_text:
            return super().encode_texts(texts)
        counts = torch.zeros(len(texts), 3 * SIZE * SIZE)
        for row, text in enumerate(texts):
            for letter in text:
                counts[row, ord(letter) % (3 * SIZE * SIZE)] += 1
        return counts @ self.directions

    def to(self, device, precision="fp32"):
        return self

    @property
    def device(self):
        return torch.device("cpu")


def make():
    return TinyEncoder()


def vision_only():
    return TinyEncoder(has_text=False)


def broken():
    encoder = TinyEncoder()

    def encode_texts(texts):
        raise ZeroDivisionError("a bug of the model")

    encoder.encode_texts = encode_texts
    return encoder
