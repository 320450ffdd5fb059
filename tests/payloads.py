"""What tests of hostile files are made of: a pickle that writes a file where it is loaded, and a small model."""

import torch

from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_train.fit import new_model


def tower(text=None):
    vision = {"image_size": 16, "patch_size": 8, "width": 32, "depth": 1, "heads": 2}
    config = CheckpointConfig(vision=vision, text=text, preprocess=Preprocess(image_size=16))
    return new_model(config, 0, torch.device("cpu"))


class Payload:
    """Opens a file for writing when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))
