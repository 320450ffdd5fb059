"""`make audit`: what it says of the pinned versions, and that it never takes no answer for a good one."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def audit(folder, program=None):
    """Run .ci/audit where pip-audit is a program of ours, or none."""
    root = folder / "repository"
    (root / ".ci").mkdir(parents=True)
    (root / ".ci" / "audit").write_bytes((ROOT / ".ci" / "audit").read_bytes())
    (root / "constraints.txt").write_text("torch==1.0\n")
    if program is not None:
        (folder / "bin").mkdir()
        (folder / "bin" / "pip-audit").write_text(f"#!/bin/sh\n{program}\n")
        (folder / "bin" / "pip-audit").chmod(0o755)
    environment = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(
        ["bash", root / ".ci" / "audit"], env=environment, capture_output=True, text=True, check=False, cwd="/"
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("program", "code", "said"),
    [
        ("echo 'No known vulnerabilities found' >&2", 0, "audit: no known vulnerabilities in constraints.txt"),
        ("echo 'Found 2 known vulnerabilities in 1 package'; echo 'torch CVE-2025-32434'; exit 1", 1, "CVE-2025-32434"),
        ("echo 'ConnectionError: no route' >&2; exit 1", 2, "was not checked: pip-audit got no answer (Connection"),
        ("exit 0", 2, "was not checked: pip-audit got no answer"),
        (None, 2, "was not checked: pip-audit is not installed (pipx install pip-audit"),
    ],
)  # fmt: skip
def test_no_answer_is_no_good_answer(tmp_path, program, code, said):
    if program is None and any(os.access(f"{folder}/pip-audit", os.X_OK) for folder in ("/usr/bin", "/bin")):
        pytest.skip("pip-audit is installed here")
    got, out = audit(tmp_path, program)
    assert (got, said in out) == (code, True), out


def test_it_asks_about_the_pinned_versions_and_installs_nothing(tmp_path):
    _, out = audit(tmp_path, 'echo "$@"; cat "$(pwd)/constraints.txt"; echo "Found 1 known vulnerability"')
    assert "--no-deps --disable-pip" in out and "--requirement constraints.txt" in out and "torch==1.0" in out
