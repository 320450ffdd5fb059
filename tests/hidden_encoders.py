"""Encoders that hold weights and settings where no search looks."""

import numpy as np
import torch
from torch import nn

from mlcd_eval.encoders.base import Encoder, EncoderInfo

PREAMBLE = """
import functools, os
import numpy as np
import torch
from mlcd_eval.encoders.base import Encoder, EncoderInfo

SHIFT = float(os.environ["SHIFT"])

def weights():
    return torch.arange(12.0).reshape(3, 4) * 0.1 + SHIFT

def linear():
    layer = torch.nn.Linear(3, 4, bias=False)
    layer.load_state_dict({"weight": weights().T})
    return layer

class Base(Encoder):
    info = EncoderInfo("", "", "constant", "mean", {"penultimate": 4}, (8, 8), 0, False)
    device = torch.device("cpu")

    def __init__(self, fill=None):
        if fill is not None:
            fill(self)

    @staticmethod
    def preprocess(image):
        return torch.from_numpy(np.asarray(image.resize((8, 8)), np.float32).transpose(2, 0, 1).copy()) / 255

    def encode_images(self, pixels, layers):
        raise NotImplementedError("hidden from the probe")
"""


class Hidden(Encoder):
    """What it computes is hidden from the search in attributes that are plain numbers."""

    def __init__(self, scale=1.0, has_text=False, text_scale=1.0, mean=0.0):
        self.info = EncoderInfo("", "", "", "", {"penultimate": 3}, (8, 8), 0, has_text)
        self.scale, self.text_scale, self.mean = scale, text_scale, mean

    device = torch.device("cpu")

    def preprocess(self, image):
        return torch.from_numpy(np.asarray(image, np.float32).transpose(2, 0, 1).copy()) / 255 - self.mean

    def encode_images(self, pixels, layers):
        pooled = pixels.mean((2, 3))
        return {"penultimate": pooled + self.scale * pooled**2}

    def encode_texts(self, texts):
        return torch.tensor([[len(text), self.text_scale] for text in texts])


class Conv(Hidden):
    """Convolution, attention and a set of modules: what threads and hash seeds could disturb."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 64, 8, 8)
        self.block = nn.TransformerEncoderLayer(64, 4, 256, batch_first=True).eval()
        self.names = {nn.Linear(2, 2), nn.Linear(2, 3), "a", "b"}
        self.info = EncoderInfo("", "", "", "", {"penultimate": 64}, (72, 96), 0, False)

    def encode_images(self, pixels, layers):
        return {"penultimate": self.block(self.conv(pixels).flatten(2).mT).mean(1)}
