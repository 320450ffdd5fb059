"""Values by their unit, and names fit for a folder, of every harness."""

import pytest

from mlcd_eval.errors import DataError
from mlcd_eval.imports.values import bounded, fraction, last_part, safe_name


@pytest.mark.parametrize(
    ("value", "number"),
    [(-1, -1.0), (-1.000001, -1.0), ("2.5", 2.5), (4, 4.0), (4.000003, 4.0), (0, 0.0)],
)
def test_rounding_beyond_an_end_is_that_end(value, number):
    """Float32 means are off by a millionth of the largest value, 4 millionths here."""
    assert bounded("x", value, "points", -1, 4) == number


@pytest.mark.parametrize("value", [-1.00001, 4.00001, True, False, None, [], "one", float("nan"), 10**400, "inf"])
def test_what_is_no_number_of_the_range_is_refused(value):
    with pytest.raises(DataError, match=r"^x is .*, expected points, -1 to 4$"):
        bounded("x", value, "points", -1, 4)


def test_fractions_come_as_they_are_or_in_per_cent():
    assert fraction("x", 0.5) == 0.5 and fraction("x", 0) == 0 and fraction("x", 1) == 1
    assert fraction("x", 50, per_cent=True) == 0.5 and fraction("x", 100, per_cent=True) == 1
    with pytest.raises(DataError, match=r"x is 1\.5, expected a fraction, 0 to 1"):
        fraction("x", 1.5)
    with pytest.raises(DataError, match="x is 101, expected per cent, 0 to 100"):
        fraction("x", 101, per_cent=True)


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("ViT-B-32", "laion400m"), "ViT-B-32_laion400m"),
        (("org/model", None, ""), "model"),
        (("runs/ckpt.pt",), "ckpt"),
        (("a.safetensors/",), "a"),
        (("a.pth", "b.bin", "c.ckpt", "d.txt"), "a_b_c_d.txt"),
        (("..", "a b/c d*"), "c_d"),
        ((r"C:\models\m+1", 3), "m+1_3"),
    ],
)
def test_a_model_is_named_by_the_last_parts(parts, name):
    assert safe_name(*parts) == name


def test_the_last_part_of_a_path_or_a_hub_name():
    assert last_part("org/model") == "model"
    assert last_part("models--org--name") == "models--org--name"
    snapshots = [last_part(f"/cache/models--{name}/snapshots/abc") for name in ("org--name", "gpt2")]
    assert snapshots == ["name", "gpt2"]
    assert last_part("a/b//") == last_part("a\\b\\") == "b"
