"""A TorchScript archive as OpenAI's release files are: modules that hold tensors, and code."""

import warnings

import torch


class _Part(torch.nn.Module):
    def forward(self, x):
        return x


def save_torchscript(tensors, path):
    root = _Part()
    for name, tensor in tensors.items():
        *parts, leaf = name.split(".")
        owner = root
        for part in parts:
            if not hasattr(owner, part):
                owner.add_module(part, _Part())
            owner = getattr(owner, part)
        owner.register_buffer(leaf, tensor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(root), path)
