from pathlib import Path

import pytest
from fresh_python import imported

from mlcd_eval.errors import ConfigError
from mlcd_eval.protocols import registry
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
        "from mlcd_eval.protocols.registry import PROTOCOLS, get_protocol;"
        "[get_protocol(name).Settings() for name in PROTOCOLS]"
    )
    assert "torch" not in imported(code)


def test_each_protocol_is_found_in_its_own_file():
    """A new protocol is one file: none of them is listed anywhere."""
    assert set(PROTOCOLS.built_in) == {
        "association",
        "attentive_probe",
        "clustering",
        "compositionality",
        "correspondence",
        "depth_linear",
        "docvqa",
        "instance_retrieval",
        "knn",
        "linear_probe",
        "normals_linear",
        "refcoco",
        "region_classification",
        "region_retrieval",
        "retrieval",
        "seg_knn",
        "seg_linear",
        "seg_zeroshot",
        "tracking",
        "zeroshot",
    }
    listing = Path(registry.__file__).read_text()
    assert not [name for name in PROTOCOLS.built_in if name in listing]
