"""The help of every command."""

import pytest

from mlcd_eval.cli import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_fits_a_screen(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert 3 < len(capsys.readouterr().out.splitlines()) < 60
