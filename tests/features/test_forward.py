"""What is said of an encoder that does not give what its info promises."""

import pytest
import torch
from tiny_encoder import TinyEncoder

from mlcd_eval.errors import IncompatibleError
from mlcd_eval.features.forward import Forward

WIDTH = TinyEncoder().info.layers["penultimate"]


@pytest.mark.parametrize(
    ("outputs", "got"),
    [
        ({"penultimate": torch.zeros(5, 10)}, r"\(5, 10\)"),
        ({"penultimate": torch.zeros(4, WIDTH)}, rf"\(4, {WIDTH}\)"),
        ({"penultimate": torch.zeros(5, WIDTH).numpy()}, "ndarray"),
        ({"pooled": torch.zeros(5, WIDTH)}, "NoneType"),
        (torch.zeros(5, WIDTH), rf"\(5, {WIDTH}\)"),
    ],
    ids=["width", "rows", "numpy", "name", "bare"],
)
def test_other_outputs_than_promised_are_told(outputs, got):
    encoder = TinyEncoder()
    encoder.encode_images = lambda pixels, layers: outputs
    expected = rf"gave {got} for the layer penultimate of 5 items, expected {{'penultimate': a tensor \(5, ..., {WIDTH}"
    with pytest.raises(IncompatibleError, match=expected):
        Forward(encoder, "fp32").images(torch.zeros(5, 3, 8, 8), ["penultimate"])


def test_other_texts_than_promised_are_told():
    encoder = TinyEncoder()
    encoder.encode_texts = lambda texts: torch.zeros(len(texts) + 1, 32)
    with pytest.raises(IncompatibleError, match=r"gave \(3, 32\) for the layer projected of 2 items"):
        Forward(encoder, "fp32").texts(["a", "b"])
