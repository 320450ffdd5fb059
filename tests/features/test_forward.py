"""Errors for an encoder whose outputs are not what its info promises."""

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
def test_outputs_other_than_promised_are_refused(outputs, got):
    encoder = TinyEncoder()
    encoder.encode_images = lambda pixels, layers: outputs
    expected = rf"layer penultimate, 5 items: got {got}, expected {{'penultimate': a tensor \(5, ..., {WIDTH}"
    with pytest.raises(IncompatibleError, match=expected):
        Forward(encoder, "fp32").images(torch.zeros(5, 3, 8, 8), ["penultimate"])


def test_text_outputs_other_than_promised_are_refused():
    encoder = TinyEncoder()
    encoder.encode_texts = lambda texts: torch.zeros(len(texts) + 1, 32)
    with pytest.raises(IncompatibleError, match=r"layer projected, 2 items: got \(3, 32\), expected"):
        Forward(encoder, "fp32").texts(["a", "b"])
