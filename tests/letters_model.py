"""A model of pictures and letters without training, in the form that clip-benchmark takes."""

import numpy as np
import torch


class LettersModel(torch.nn.Module):
    """Pictures of 8 x 8 pixels and letters, projected at random. middle: the brightness that is 0."""

    def __init__(self, middle):
        super().__init__()
        draw = np.random.default_rng(3).normal
        self.middle = middle
        self.image, self.text = (torch.tensor(draw(size=(size, 16)), dtype=torch.float32) for size in (192, 512))

    def encode_image(self, pixels):
        return (pixels.flatten(1) - self.middle) @ self.image

    def encode_text(self, letters):
        return letters @ self.text


def pixels(image):
    return torch.tensor(np.asarray(image.convert("RGB").resize((8, 8)), dtype=np.float32)).permute(2, 0, 1) / 255


def letters(texts):
    counts = [torch.bincount(torch.tensor([ord(c) % 512 for c in text]), minlength=512) for text in texts]
    return torch.stack(counts).float()
