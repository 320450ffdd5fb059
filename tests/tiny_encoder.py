"""A deterministic encoder that costs nothing, as a user would write one: `--model python:tiny_encoder:make`."""

import dataclasses

import numpy as np
import torch

from mlcd_eval.encoders.base import Encoder, EncoderInfo

SIZE = 8


def preprocess(image):
    pixels = np.asarray(image.resize((SIZE, SIZE)), dtype=np.float32) / 255
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


class TinyEncoder(Encoder):
    """penultimate: the thumbnail. projected: 32 random directions of it. patches: its squares of 2 x 2. A text is
    encoded as the sum of its letters' directions."""

    images_seen = 0  # without load_encoder's probe, which comes first
    probed = False

    def __init__(self, has_text=True):
        layers = {"penultimate": 3 * SIZE * SIZE, "patches": 12, **({"projected": 32} if has_text else {})}
        self.info = EncoderInfo("", "", "t" * 64, f"resize to {SIZE}", layers, (SIZE, SIZE), 0, has_text)
        self.preprocess = preprocess
        self.directions = torch.randn(3 * SIZE * SIZE, 32, generator=torch.Generator().manual_seed(0))

    def encode_images(self, pixels, layers):
        TinyEncoder.images_seen += len(pixels) if self.probed else 0
        self.probed = True
        flat = pixels.flatten(1) - 0.5
        patches = torch.nn.functional.pixel_unshuffle(pixels - 0.5, 2).permute(0, 2, 3, 1)
        outputs = {"penultimate": flat, "projected": flat @ self.directions, "patches": patches}
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


class RedFinder(TinyEncoder):
    """Segments what is more red than green and blue, and answers with the size of the image and the question."""

    asked = 0

    def __init__(self):
        super().__init__(has_text=False)
        self.info = dataclasses.replace(self.info, layers={}, abilities=("segment", "answer"))

    def segment(self, image, expression):
        RedFinder.asked += 1
        pixels = np.asarray(image, dtype=np.int32)
        return pixels[..., 0] > pixels[..., 1:].max(axis=2) + 60

    def answer(self, images, questions, max_new_tokens=32):
        RedFinder.asked += len(images)
        return [f"{image.width} {question}"[:max_new_tokens] for image, question in zip(images, questions, strict=True)]


def red_finder():
    return RedFinder()


class Echo(TinyEncoder):
    """Returns what each of its methods is called with."""

    reentrant = True
    jpeg = staticmethod(len)
    device = torch.device("meta")

    def encode_images(self, pixels, layers):
        return {"images": (pixels, layers)}

    def encode_texts(self, texts):
        return ("texts", texts)

    def segment(self, image, expression):
        return ("segment", image, expression)

    def answer(self, images, questions, max_new_tokens=32):
        return ["answer", images, questions, max_new_tokens]

    def to(self, device, precision="fp32"):
        self.moved = (device, precision)
        return self


def check_it_passes_all_to(encoder, wrapper):
    """A wrapper around an Echo gives each call to it unchanged."""
    assert isinstance(encoder, Echo)
    assert wrapper.encode_images(1, 2) == {"images": (1, 2)}
    assert wrapper.encode_texts(["x"]) == ("texts", ["x"])
    assert wrapper.segment(1, "it") == ("segment", 1, "it")
    assert wrapper.answer([1], ["x"]) == ["answer", [1], ["x"], 32]
    assert wrapper.answer([1], ["x"], 7) == ["answer", [1], ["x"], 7]
    assert wrapper.reentrant is True and wrapper.device == torch.device("meta")
    encoder.reentrant = False
