import subprocess
import sys

import pytest

from mlcd_eval.errors import ConfigError
from mlcd_eval.protocols.registry import PROTOCOLS, get_protocol


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_every_name_is_its_protocols_own(name):
    assert get_protocol(name).name == name


def test_unknown_name_gets_the_nearest():
    with pytest.raises(
        ConfigError, match=r"unknown protocol 'zero-shot', expected one of .* \(did you mean 'zeroshot'\?\)"
    ):
        get_protocol("zero-shot")


def test_protocols_and_their_settings_come_without_torch():
    code = (
        "import sys; from mlcd_eval.protocols.registry import PROTOCOLS, get_protocol;"
        "[get_protocol(name).Settings() for name in PROTOCOLS]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
