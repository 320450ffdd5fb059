"""The public names of `import mlcd_eval`."""

import pytest
from conftest import make_result, metric
from fresh_python import imported, printed

import mlcd_eval


@pytest.mark.parametrize("name", mlcd_eval.__all__)
def test_every_public_name_is_importable(name):
    assert getattr(mlcd_eval, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        mlcd_eval.evaluat  # noqa: B018


def test_importing_the_package_loads_nothing_heavy():
    assert not imported("import mlcd_eval") & {"torch", "numpy", "pydantic"}


def test_dir_and_help_show_the_public_face():
    assert set(mlcd_eval.__all__) <= set(dir(mlcd_eval))
    text = printed("import mlcd_eval; help(mlcd_eval)")
    for name in mlcd_eval.__all__:
        assert name in text
    assert "evaluate(model:" in text and "skip_incompatible" in text


def test_the_repr_of_a_result_is_one_line():
    assert repr(make_result()) == "<Result tiny zeroshot/demo: acc1 0.4525 [0.4000, 0.5012], n = 200>"
    failed = make_result(status="error", error="a bug\nin two lines", metrics=[metric("x", None)], primary_metric=None)
    assert str(failed) == "<Result tiny zeroshot/demo: error: a bug in two lines>"
    undefined = make_result(metrics=[metric("acc1", None)])
    assert f"{[undefined]}" == "[<Result tiny zeroshot/demo: acc1 undefined, n = 200>]"
