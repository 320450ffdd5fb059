"""Shell completion: what bash is offered, and that every command and flag is in the others' scripts."""

import shutil
import subprocess

import pytest

from mlcd_eval.cli import COMMANDS, main

OFFER = """
source "$1"
COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2)); COMP_LINE="${*:2}"; COMP_POINT=${#COMP_LINE}
_shtab_mlcd_eval
echo "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["re"], {"rerun"}),
        (["run", "--dev"], {"--device"}),
        (["run", "--device", ""], {"auto", "cpu", "cuda"}),
        (["ls", "m"], {"models"}),
        (["run", "--no-"], {"--no-resume"}),  # the hidden flags are not offered
    ],
)
def test_bash_completes_commands_flags_and_values(tmp_path, capsys, words, offered):
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "completion.bash"
    script.write_text(capsys.readouterr().out)
    command = [shutil.which("bash"), "-c", OFFER, "bash", str(script), "mlcd-eval", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_know_the_commands_and_flags(capsys, shell):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in COMMANDS)
    assert "skip-incompatible" in script
