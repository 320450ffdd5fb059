"""Whatever an author says of a model, other features are kept under another fingerprint, and the same ones are not."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hidden_encoders import PREAMBLE, Conv, Hidden

from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.encoders.contents import contents
from mlcd_eval.encoders.probe import PROJECTIONS, _hashed, _rounded, fixed_image, probe
from mlcd_eval.encoders.registry import load_encoder

HELD = {
    "module as attribute": "Base(lambda self: setattr(self, 'model', linear()))",
    "module in a list in a dict": "Base(lambda self: setattr(self, 'parts', {'a': [None, linear()]}))",
    "plain tensor": "Base(lambda self: setattr(self, 'w', weights()))",
    "array": "Base(lambda self: setattr(self, 'w', weights().numpy()))",
    "array of objects": "Base(lambda self: setattr(self, 'w', np.array([weights(), 'x'], dtype=object)))",
    "bytes": "Base(lambda self: setattr(self, 'w', weights().numpy().tobytes()))",
    "bound argument": "Base(lambda self: setattr(self, 'f', functools.partial(torch.mm, mat2=weights())))",
    "tensor in a set": "Base(lambda self: setattr(self, 'w', {weights(), torch.zeros(1)}))",
    "closure of a method": "closing()",
    "class attribute": "InClass()",
    "global": "Reading()",
    "buffer outside the state dict": "Base(lambda self: setattr(self, 'model', Buffered()))",
    "slot": "Base(lambda self: setattr(self, 'model', Slotted()))",
    "scripted module": "Base(lambda self: setattr(self, 'model', torch.jit.script(torch.nn.Sequential(linear()))))",
}
CLASSES = """
def closing():
    layer = linear()
    class Closing(Base):
        def encode_images(self, pixels, layers):
            return layer(pixels)
    return Closing()

class InClass(Base):
    layer = linear()

GLOBAL = [weights()]
class Reading(Base):
    def encode_images(self, pixels, layers):
        def inner():
            return GLOBAL
        return inner()

class Buffered(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("w", weights(), persistent=False)

class Slotted:
    __slots__ = ("w",)
    def __init__(self):
        self.w = weights()
"""


@pytest.mark.parametrize("held", HELD)
def test_weights_count_wherever_they_are_held(held, tmp_path, monkeypatch):
    """The author's fingerprint and the code stay the same, and the probe sees nothing."""
    path = tmp_path / "mine.py"
    path.write_text(f"{PREAMBLE}{CLASSES}\ndef make():\n    return {HELD[held]}\n")

    def fingerprint(shift):
        monkeypatch.setenv("SHIFT", shift)
        return load_encoder(f"python:{path}:make").info.fingerprint

    assert fingerprint("0") == fingerprint("0") != fingerprint("0.001")


SEEN_BY_THE_PROBE = """
class Computing(Base):
    '''Keeps its settings where no search looks: behind a function of another module.'''
    def encode_images(self, pixels, layers):
        import activation
        return {"penultimate": activation.apply(pixels.mean((2, 3)) @ weights() - 1)}

    def encode_texts(self, texts):
        import activation
        return activation.apply(torch.tensor([[len(text), 1.0 * text.count("a")] for text in texts]) - 3)

def make():
    return Computing()
"""


def test_the_probe_sees_settings_that_no_tensor_shows(tmp_path, monkeypatch):
    path = tmp_path / "mine.py"
    path.write_text(PREAMBLE + SEEN_BY_THE_PROBE)
    monkeypatch.setenv("SHIFT", "0")

    def fingerprint(activation):
        monkeypatch.delitem(sys.modules, "activation", raising=False)
        (tmp_path / "activation.py").write_text(f"import torch\ndef apply(x):\n    return {activation}\n")
        for cached in (tmp_path / "__pycache__").glob("activation*"):
            cached.unlink()
        return load_encoder(f"python:{path}:make").info.fingerprint

    assert fingerprint("torch.relu(x)") == fingerprint("x.clamp(min=0)")  # other code, the same features
    assert fingerprint("torch.relu(x)") != fingerprint("torch.nn.functional.gelu(x)")
    monkeypatch.delitem(sys.modules, "activation", raising=False)


def test_the_probe_covers_images_texts_and_preprocessing():
    assert probe(Hidden()) == probe(Hidden())
    assert probe(Hidden()) != probe(Hidden(scale=1.1))
    assert probe(Hidden()) != probe(Hidden(mean=0.1))
    assert probe(Hidden(has_text=True)) != probe(Hidden(has_text=True, text_scale=2.0))
    assert contents(Hidden()) == contents(Hidden(scale=1.1))  # the search alone would not see it


def test_the_probe_leaves_threads_and_random_numbers_alone():
    torch.manual_seed(5)
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    probe(Hidden())
    assert torch.get_num_threads() == threads and torch.equal(torch.random.get_rng_state(), state)


def test_an_encoder_that_fails_is_loaded_all_the_same():
    failing = Hidden()
    failing.encode_images = lambda *_: 1 / 0
    assert len(probe(failing)) == 64
    failing.info = EncoderInfo("", "", "", "", {}, (0, 0), 0, False)
    assert probe(failing) == "no layers"


def test_rounding_forgets_noise_and_keeps_changes():
    """The module's docstring gives the rates; these limits leave room."""
    generator = torch.Generator().manual_seed(0)

    def share_of_equal(relative):
        equal = 0
        for _ in range(60):
            values = torch.randn(256, generator=generator, dtype=torch.float64)
            noise = relative * torch.randn(256, generator=generator, dtype=torch.float64)
            equal += _rounded(values) == _rounded(values + noise)
        return equal / 60

    assert share_of_equal(1e-6) > 0.95
    assert share_of_equal(2e-3) < 0.05
    assert _rounded(torch.zeros(2, 2)) == "(2, 2) 0.0" and "nan" in _rounded(torch.tensor([float("nan")]))


def test_signs_are_balanced_and_the_image_is_fixed():
    bits = _hashed(np.arange(4096))
    shares = [float(((bits >> np.uint64(bit)) & np.uint64(1)).mean()) for bit in range(PROJECTIONS)]
    assert all(0.46 < share < 0.54 for share in shares)
    image = np.asarray(fixed_image())
    assert image.shape == (72, 96, 3) and image.dtype == np.uint8
    assert image.std() > 20 and image[:36, :48].mean() < image[36:, 48:].mean()


PROCESS = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from hidden_encoders import Conv
from mlcd_eval.encoders.contents import contents
from mlcd_eval.encoders.probe import probe
print(contents(Conv()), probe(Conv()), torch.get_num_threads())
"""


def test_what_the_probe_shows_and_sees_stays_what_it_was():
    """Else all stored features of `python:` models are computed again after an update."""
    digest = hashlib.sha256(fixed_image().tobytes()).hexdigest()
    assert digest == "0b321f43353f257691f224a08ad92a809cd7a6ff8ae6b35507711f9c5dd5162d"
    shape, size, *projections = _rounded(torch.arange(1.0, 13.0).reshape(3, 4)).replace(", ", ",").split()
    assert (shape, size, len(projections)) == ("(3,4)", "7.36e+00", PROJECTIONS)
    assert projections[:8] == ["0.94", "-0.31", "-0.63", "-0.24", "0.31", "1.18", "-0.78", "-0.55"]


def test_processes_with_other_threads_and_hash_seeds_agree():
    threads = 2 if torch.get_num_threads() == 1 else 1
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", PROCESS, str(Path(__file__).parents[1])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == [contents(Conv()), probe(Conv()), str(threads)]
