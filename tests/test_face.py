"""The public names of `import mlcd_eval`."""

import subprocess
import sys

import pytest

import mlcd_eval


@pytest.mark.parametrize("name", mlcd_eval.__all__)
def test_every_public_name_is_importable(name):
    assert getattr(mlcd_eval, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        mlcd_eval.evaluat  # noqa: B018


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, mlcd_eval; sys.exit(bool({'torch', 'numpy', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
