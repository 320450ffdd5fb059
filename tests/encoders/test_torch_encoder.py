"""What encoders that are PyTorch modules share: where they are, and which layers they return."""

import torch
from torch import nn

from mlcd_eval.encoders.torch_encoder import TorchEncoder


class Convolution(TorchEncoder):
    def __init__(self):
        self.model = nn.Conv2d(3, 4, 2)

    def _layers(self, pixels):
        return {"patches": self.model(pixels), "penultimate": pixels.mean((2, 3)), "projected": pixels}


def test_on_a_cpu_weights_keep_their_layout():
    """Another one would round otherwise."""
    encoder = Convolution()
    assert encoder.to(torch.device("cpu")) is encoder and encoder.device == torch.device("cpu")
    assert encoder.model.weight.is_contiguous()


def test_only_the_layers_asked_for_are_returned():
    pixels = torch.rand(2, 3, 4, 4)
    outputs = Convolution().encode_images(pixels, ["penultimate"])
    assert list(outputs) == ["penultimate"] and torch.equal(outputs["penultimate"], pixels.mean((2, 3)))
