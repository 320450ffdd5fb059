"""The machine and the versions of a record."""

import importlib.metadata
import os
import platform
import subprocess

import pytest
import torch

from mlcd_eval import __version__
from mlcd_eval.records import environment as module


@pytest.fixture
def no_versions(monkeypatch):
    monkeypatch.setattr(module, "_versions", dict)


@pytest.mark.parametrize(
    ("processor", "info", "name"),
    [
        ("z80", None, "z80"),
        ("", None, "CPU"),
        ("x86_64", "processor\t: 0\nmodel\t\t: 6\nmodel name\t: Abacus(R) 9 \n\nmodel name\t: B\n", "Abacus(R) 9"),
        ("aarch64", "processor\t: 0\n", "aarch64"),
    ],
)
def test_a_processor_is_named_where_the_system_knows_it(tmp_path, monkeypatch, no_versions, processor, info, name):
    monkeypatch.setattr(platform, "processor", lambda: processor)
    monkeypatch.setattr(module, "CPU_INFO", tmp_path / "cpuinfo")
    if info is not None:
        (tmp_path / "cpuinfo").write_text(info)
    threads = torch.get_num_threads()
    assert module.environment("cpu") == {"device": "cpu", "device_name": name, "threads": threads}


def test_a_gpu_is_named_and_determinism_is_noted(monkeypatch, no_versions):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"the GPU {device}")
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    facts = module.environment("cuda:1")
    assert (facts["device_name"], facts["deterministic"]) == ("the GPU cuda:1", "true")


def test_versions_of_what_is_not_installed_are_none(monkeypatch):
    def version(package):
        if package == "timm":
            raise importlib.metadata.PackageNotFoundError
        return f"{package} 1"

    monkeypatch.setattr(importlib.metadata, "version", version)
    facts = module._versions.__wrapped__()
    assert facts["timm"] is None and facts["torch"] == "torch 1" and set(module.PACKAGES) <= set(facts)
    assert (facts["mlcd_eval"], facts["cpus"]) == (__version__, os.cpu_count())


def test_the_commit_of_a_checkout_has_a_sign_where_files_differ(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "__file__", str(tmp_path / "package" / "records" / "environment.py"))
    assert module._git_commit() is None  # an installed wheel

    def git(*words):
        name = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        return subprocess.run(["git", "-C", tmp_path, *name, *words], check=True, capture_output=True, text=True).stdout

    git("init")
    assert module._git_commit() is None  # without a commit
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "x")
    commit = git("rev-parse", "HEAD").strip()
    assert len(commit) == 40 and module._git_commit() == commit
    (tmp_path / "file").write_text("2")
    assert module._git_commit() == f"{commit}+"
