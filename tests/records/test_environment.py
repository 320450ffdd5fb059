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
    ("cpuinfo", "processor", "name"),
    [("model name\t: Z80 of 1976\n", "z80", "Z80 of 1976"), ("bogomips: 1\n", "z80", "z80"), (None, "", "CPU")],
)
def test_a_processor_is_named_where_the_system_knows_it(monkeypatch, tmp_path, no_versions, cpuinfo, processor, name):
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(module, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "processor", lambda: processor)
    module._processor.cache_clear()
    threads = torch.get_num_threads()
    assert module.environment("cpu") == {"device": "cpu", "device_name": name, "threads": threads}


@pytest.fixture(autouse=True)
def _the_processor_is_looked_up_again():
    yield
    module._processor.cache_clear()


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
