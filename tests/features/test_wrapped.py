"""Encoders around another encoder give every call to it."""

import torch
from tiny_encoder import Echo, check_it_passes_all_to

from mlcd_eval.features.lazy import LazyEncoder
from mlcd_eval.features.wrapped import WrappedEncoder


def test_a_wrapped_encoder_is_called_for_everything():
    encoder = Echo()
    wrapper = WrappedEncoder(encoder)
    check_it_passes_all_to(encoder, wrapper)
    assert wrapper.reentrant is False and wrapper.jpeg is len and wrapper.costed is False


def test_a_lazy_encoder_calls_the_loaded_one_for_everything():
    encoder = Echo()
    wrapper = LazyEncoder(lambda: encoder, lambda: torch.device("meta"), lambda make: make())
    check_it_passes_all_to(encoder, wrapper)
    assert wrapper.preprocess is encoder.preprocess and wrapper.info is encoder.info
