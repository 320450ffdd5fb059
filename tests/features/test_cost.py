"""What an image costs, against counts by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from mlcd_eval.features.cost import Cost, cost_of


def counted(model, *shape):
    model.eval()
    tokens = torch.zeros(shape)
    with torch.inference_mode():
        return cost_of(lambda: model(tokens))


WIDTH, TOKENS, HEADS = 8, 5, 2
PROJECTIONS = 4 * 2 * TOKENS * WIDTH * WIDTH  # of queries, keys, values and the output
ATTENTION = 2 * 2 * TOKENS * TOKENS * WIDTH  # scores, and averages of values


@pytest.mark.parametrize("fused", [True, False])
def test_attention_is_counted_whatever_kernel_does_it(fused):
    """PyTorch fuses a whole block of the first kind into one operation without a count."""
    if fused:
        model = nn.TransformerEncoderLayer(WIDTH, HEADS, 32, batch_first=True)
        mlp = 2 * 2 * TOKENS * WIDTH * 32
    else:
        model, mlp = Attention(), 0
    cost = counted(model, 1, TOKENS, WIDTH)
    assert cost == Cost(PROJECTIONS + ATTENTION + mlp, sum(map(torch.Tensor.numel, model.parameters())))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.joint, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, tokens):
        parts = self.joint(tokens).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        return self.out(functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))


class WithHead(nn.Module):
    """A convolution, whose output's mean is the feature, and a classifier that is not asked."""

    def __init__(self):
        super().__init__()
        self.convolution, self.head = nn.Conv2d(3, 4, 2, 2, bias=False), nn.Linear(4, 1000)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, pixels):
        return self.convolution(pixels).mean((2, 3)) * self.scale


def test_only_parameters_that_are_read_count():
    assert counted(WithHead(), 1, 3, 6, 6) == Cost(2 * 9 * 4 * (3 * 2 * 2), 4 * 12 + 4)


def test_a_call_without_pytorch_costs_nothing_that_is_known():
    assert cost_of(lambda: None) == Cost(None, None)


def test_kernels_are_as_before_after_counting():
    before = torch.backends.mha.get_fastpath_enabled()
    with pytest.raises(ZeroDivisionError):
        cost_of(lambda: 1 / 0)
    assert torch.backends.mha.get_fastpath_enabled() is before is True
