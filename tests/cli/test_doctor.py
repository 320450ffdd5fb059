"""The doctor says what is missing, and needs nothing heavy to see it."""

import subprocess
from importlib.metadata import EntryPoint, metadata

import pytest
from fresh_python import imported

from mlcd_eval.cli import doctor, main
from mlcd_eval.encoders.kinds import KINDS


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A machine with a cache, without devices."""
    monkeypatch.setenv("MLCD_EVAL_CACHE", str(tmp_path))
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def test_every_extra_is_listed_with_the_models_that_need_it(here, capsys):
    assert main(["doctor"]) == 0
    printed = lines(capsys)
    extras = {line.split()[2].rstrip(":") for line in printed if line.split()[1] == "extra"}
    assert extras == set(metadata("mlcd-eval").get_all("Provides-Extra")) - {"all", "dev", "run"}
    (hf,) = (line for line in printed if " extra hf: " in line)
    assert hf.endswith("for models hf:, vlm:, hf-seg:")
    assert any(line.startswith("[--] no CUDA device") for line in printed)


@pytest.mark.parametrize(
    ("requirement", "code", "message"),
    [
        ("torch>=999", 1, r"[!!] torch "),
        ("no-such-package>=1", 1, "[!!] no-such-package is not installed: everything needs it"),
        (
            "no-such-package>=1; extra == 'run'",
            1,
            "[!!] no-such-package is not installed: every run needs it, pip",
        ),
        ("mlcd-eval[run]; extra == 'ocr'", 0, "[ok] cache"),
        ("no-such-package>=1; extra == 'ocr'", 0, "[--] extra ocr: no-such-package is not installed (pip install"),
        ("numpy>=1; extra == 'ocr'", 0, "[ok] extra ocr: numpy "),
    ],
)
def test_what_is_missing_or_too_old(here, requirement, code, message, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "requires", lambda _: [requirement])
    assert main(["doctor"]) == code
    assert any(line.startswith(message) for line in lines(capsys))


def test_without_torch_nothing_runs(here, capsys, monkeypatch):
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: None)
    assert main(["doctor"]) == 1
    printed = lines(capsys)
    assert "[!!] torch cannot be found: every run needs it, pip install 'mlcd-eval[run]'" in printed
    assert "[--] models vlmevalkit: need vlmeval, which is not installed" in printed


def test_kinds_of_other_packages_are_named_and_not_imported(here, capsys, monkeypatch):
    monkeypatch.setattr(
        KINDS, "added", {"theirs": EntryPoint("theirs", "no_such_package.rows:ROW", "mlcd_eval.encoders")}
    )
    assert main(["doctor"]) == 0
    assert "[ok] models theirs: are added by the package no_such_package" in lines(capsys)


@pytest.mark.parametrize(("cuda", "mark"), [("'13.0'", "ok"), ("None", "--")])
def test_devices_are_those_of_nvidia_smi(here, cuda, mark, tmp_path, capsys, monkeypatch):
    (tmp_path / "version.py").write_text(f"from typing import Optional\ncuda: Optional[str] = {cuda}\nhip = '6.0'\n")
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: spec)
    monkeypatch.setattr(doctor.shutil, "which", lambda _: "/bin/nvidia-smi")
    answer = subprocess.CompletedProcess([], 0, "NVIDIA H200, 143771 MiB, 9.0\nNVIDIA, odd, [N/A], 7.5\n")
    monkeypatch.setattr(doctor.subprocess, "run", lambda *_, **__: answer)
    assert main(["doctor"]) == 0
    first, second = (line for line in lines(capsys) if "cuda:" in line)
    assert first.startswith(f"[{mark}] cuda:0 NVIDIA H200, 143771 MiB, compute capability 9.0 (bf16 from 8.0)")
    assert second.startswith(f"[{mark}] cuda:1 NVIDIA, odd, [N/A], compute capability 7.5")
    assert first.endswith("which torch cannot use") == (mark == "--")


def test_a_slow_nvidia_smi_is_not_waited_for(here, capsys, monkeypatch):
    def run(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(doctor.shutil, "which", lambda _: "/bin/nvidia-smi")
    monkeypatch.setattr(doctor.subprocess, "run", run)
    assert main(["doctor"]) == 0
    assert "[--] CUDA devices are unknown: nvidia-smi gave no answer within 1 s" in lines(capsys)


def test_nothing_heavy_is_imported(tmp_path):
    assert not imported("from mlcd_eval.cli import main; main(['doctor'])") & {
        "torch",
        "numpy",
        "pandas",
        "open_clip",
        "transformers",
        "timm",
    }
