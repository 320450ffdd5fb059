"""What an encoder says of what it cannot do."""

import pytest
from tiny_encoder import TinyEncoder

from mlcd_eval.encoders.base import Encoder
from mlcd_eval.encoders.kinds import KINDS
from mlcd_eval.encoders.registry import parse
from mlcd_eval.encoders.spec import Spec, refuse_object
from mlcd_eval.encoders.torch_encoder import TorchEncoder
from mlcd_eval.errors import ConfigError, IncompatibleError


def test_an_encoder_without_an_ability_says_so():
    plain = Encoder()
    plain.info = TinyEncoder(has_text=False).info
    for call, message in (
        (lambda: plain.encode_texts(["a"]), "model '' has no text tower: got texts to encode, expected images"),
        (lambda: plain.segment(None, "a"), "model '' does not segment images"),
        (lambda: plain.answer([], []), "model '' answers no questions"),
    ):
        with pytest.raises(IncompatibleError, match=f"^{message}$"):
            call()
    assert plain.jpeg is None and plain.reentrant is False


@pytest.mark.parametrize(
    "call",
    [
        lambda: Encoder().encode_images(None, []),
        lambda: Encoder().to(None),
        lambda: Encoder().device,
        lambda: TorchEncoder()._layers(None),
    ],
)
def test_what_a_subclass_must_have_is_not_implemented(call):
    with pytest.raises(NotImplementedError):
        call()


def test_a_model_in_memory_has_no_spec():
    with pytest.raises(ConfigError, match=r"^--model 'object:a.B' was a model in memory: expected mlcd_eval.evaluate"):
        refuse_object(Spec("object:a.B", "object", "B", {}))


def test_a_folder_of_transformers_is_its_files_unless_its_code_may_run(tmp_path):
    (tmp_path / "config.json").touch()
    files = KINDS["hf"].files
    assert files(parse(f"hf:{tmp_path}")) == [tmp_path / "config.json"]
    assert files(parse(f"hf:{tmp_path}", trust_remote_code=True)) == files(parse("hf:org/name")) == []
