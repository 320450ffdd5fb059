from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from mlcd_eval.errors import ConfigError
from mlcd_eval.spec import validated


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: PositiveInt = 1
    layer: Literal["penultimate", "projected"] = "projected"


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(pattern="^[a-z]+$")
    inner: Inner | None = None
    several: tuple[Inner, ...] = ()
    names: str | tuple[str, ...] | None = None
    low: int = 0
    high: int = 1

    @model_validator(mode="after")
    def _ordered(self) -> "Outer":
        if self.low >= self.high:
            raise ValueError(f"low is {self.low} and high {self.high}, expected low < high")
        return self


def problems(**values) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        validated(Outer, {"name": "x", **values}, "here")
    return str(caught.value).splitlines()


def test_good_values_become_the_model():
    assert validated(Outer, {"name": "x", "inner": {"size": 3}}, "here").inner == Inner(size=3)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"inner": {"sise": 2}}, "here: unknown key 'inner.sise', expected one of size, layer (did you mean 'size'?)"),
        (
            {"several": [{}, {"lair": 2}]},
            "here: unknown key 'several.1.lair', expected one of size, layer (did you mean 'layer'?)",
        ),
        ({"inner": {"size": 0}}, "here: 'inner.size' is 0, expected greater than 0"),
        (
            {"inner": {"layer": "projekted"}},
            "here: 'inner.layer' is 'projekted', expected 'penultimate' or 'projected' (did you mean 'projected'?)",
        ),
        ({"names": 5}, "here: 'names' is 5, expected text or a list"),
        ({"names": ["a", 5]}, "here: 'names.1' is 5, expected text"),
        ({"inner": [1]}, "here: 'inner' is [1], expected a mapping"),
        ({"name": "X"}, "here: 'name' is 'X', expected text of the form ^[a-z]+$"),
        ({"low": 3}, "here: low is 3 and high 1, expected low < high"),
    ],
)
def test_a_problem_is_one_sentence_naming_the_key(values, problem):
    assert problems(**values) == [problem]


def test_every_problem_is_reported():
    with pytest.raises(ConfigError) as caught:
        validated(Outer, {"low": "many", "hihg": 2}, "here")
    missing, low, unknown = str(caught.value).splitlines()
    assert missing == "here: the key 'name' is missing"
    assert low.startswith("here: 'low' is 'many', expected a valid integer")
    assert unknown.startswith("here: unknown key 'hihg', expected one of ")
    assert unknown.endswith("(did you mean 'high'?)")


def test_a_long_value_is_cut():
    assert len(problems(name=["word"] * 1000)[0]) < 120
