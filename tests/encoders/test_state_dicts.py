"""State dicts inside training checkpoints, under wrappers' names, in archives; and files that are refused."""

import argparse
import pickle

import pytest
import torch
from payloads import Payload
from safetensors.torch import save_file
from torchscript_archive import save_torchscript

from mlcd_eval.encoders.state_dicts import read_state_dict
from mlcd_eval.encoders.torchscript import read_torchscript
from mlcd_eval.errors import CheckpointError

WEIGHTS = {"patch.weight": torch.arange(6.0).view(2, 3), "norm.bias": torch.ones(2)}


def prefixed(prefix, number=0.0):
    return {f"{prefix}{name}": value + number for name, value in WEIGHTS.items()}


@pytest.mark.parametrize(
    ("checkpoint", "source"),
    [
        (WEIGHTS, "w.pt"),
        ({"model": WEIGHTS, "epoch": 3, "args": argparse.Namespace(lr=0.1)}, "w.pt, model"),
        ({"state_dict": prefixed("module.", 1), "ema": WEIGHTS}, "w.pt, ema"),
        ({"student": prefixed("", 1), "teacher": prefixed("module.")}, "w.pt, teacher"),
        ({"model": {"state_dict": prefixed("_orig_mod.module.")}}, "w.pt, model, state_dict"),
        ({"patch._orig_mod.weight": WEIGHTS["patch.weight"], "norm.bias": WEIGHTS["norm.bias"]}, "w.pt"),
        (prefixed("backbone."), "w.pt, backbone.*"),
        (
            {"teacher": {**prefixed("module.backbone."), "module.head.weight": torch.zeros(3)}},
            "w.pt, teacher, backbone.* without 1 tensors beside it",
        ),
        (
            {"model": {**prefixed("student.backbone.", 1), **prefixed("teacher.backbone.")}},
            "w.pt, model, teacher.* without 2 tensors beside it, backbone.*",
        ),
    ],
)
def test_whatever_is_around_them_the_weights_are_found(tmp_path, checkpoint, source):
    torch.save(checkpoint, tmp_path / "w.pt")
    got = read_state_dict(tmp_path / "w.pt").fitted(WEIGHTS)
    assert got.source == source
    assert got.tensors.keys() == WEIGHTS.keys()
    assert all(torch.equal(got.tensors[name], value) for name, value in WEIGHTS.items())


def test_a_prefix_that_the_model_has_itself_stays(tmp_path):
    save_file(prefixed("backbone."), tmp_path / "w.safetensors")
    got = read_state_dict(tmp_path / "w.safetensors").fitted(prefixed("backbone."))
    assert got.tensors.keys() == prefixed("backbone.").keys()


def test_another_part_can_be_asked_for(tmp_path):
    torch.save({"student": prefixed("", 1), "teacher": WEIGHTS}, tmp_path / "w.pt")
    got = read_state_dict(tmp_path / "w.pt", "student")
    assert torch.equal(got.tensors["norm.bias"], torch.full((2,), 2.0))
    with pytest.raises(CheckpointError, match=r"no state dict 'studnt', expected one of student, teacher \(did"):
        read_state_dict(tmp_path / "w.pt", "studnt")


class Trained(torch.nn.Linear):
    pass


def test_a_pickle_is_refused_in_a_sentence_that_says_what_to_do(tmp_path):
    torch.save(Trained(2, 2), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"not opened: .*save_file\(model.state_dict\(\), 'w"):
        read_state_dict(tmp_path / "w.pt")
    torch.save({"epoch": 3}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"w.pt holds no tensors by name, expected a state dict$"):
        read_state_dict(tmp_path / "w.pt")


def test_an_archive_is_read_without_running_it(tmp_path, monkeypatch):
    """Names and values are those of torch.jit.load; shared and strided tensors too."""
    base = torch.randn(4, 6)
    tensors = {"a.b.weight": base, "a.view": base[1:, ::2], "h": torch.randn(3).half(), "empty": torch.empty(0, 3)}
    save_torchscript(tensors, tmp_path / "w.pt")
    with pytest.warns(FutureWarning):
        right = torch.jit.load(tmp_path / "w.pt").state_dict()
    monkeypatch.setattr(torch.jit, "load", lambda *_: pytest.fail("the archive is run"))
    got = read_state_dict(tmp_path / "w.pt").tensors
    assert got.keys() == right.keys()
    assert all(torch.equal(got[name], value) and got[name].dtype == value.dtype for name, value in right.items())


def test_an_archive_with_a_payload_or_damage_is_refused(tmp_path):
    import zipfile

    for content in (pickle.dumps(Payload(tmp_path / "made")), b"\x80\x02X\xff\xff\xff\x7f", b""):
        with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
            archive.writestr("w/data.pkl", content)
            archive.writestr("w/constants.pkl", b"")
        with pytest.raises(CheckpointError, match=r"w.pt is not a TorchScript archive of tensors, or damaged"):
            read_torchscript(tmp_path / "w.pt")
    assert not (tmp_path / "made").exists()
