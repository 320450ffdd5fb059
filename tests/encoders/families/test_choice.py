"""Which class reads a model, by the names in its config."""

import pytest

from mlcd_eval.encoders.families.choice import choose, image_classes
from mlcd_eval.encoders.families.rows import FAMILIES, REMOTE
from mlcd_eval.encoders.registry import parse
from mlcd_eval.errors import ConfigError, IncompatibleError

LARGER = {"model_type": "llava", "vision_config": {"model_type": "siglip_vision_model"}}
SHIPPED = {"auto_map": {"AutoModel": "org/repository--modeling.RADIOModel"}}


def choice(config, options=""):
    return choose(config, parse(f"hf:x{options}"))


@pytest.mark.parametrize(
    ("config", "options", "name", "remote"),
    [
        ({"model_type": "clip", "architectures": ["CLIPModel"]}, "", "CLIPModel", False),
        ({"model_type": "clip", "architectures": ["CLIPForImageClassification"]}, "", "CLIPVisionModel", False),
        ({"model_type": "clip_vision_model"}, "", "CLIPVisionModel", False),
        ({"model_type": "mlcd", "architectures": ["MLCDVisionModel"]}, "", "MLCDVisionModel", False),
        ({"model_type": "vit", "architectures": ["ViTForImageClassification"]}, "", "ViTModel", False),
        ({"model_type": "vit_mae", "architectures": ["ViTMAEForPreTraining"]}, "", "ViTMAEModel", False),
        ({"model_type": "sam2_video", "architectures": ["Sam2VideoModel"]}, "", "Sam2VisionModel", False),
        ({"model_type": "blip", "architectures": ["BlipForConditionalGeneration"]}, "", "BlipVisionModel", False),
        ({"model_type": "focalnet", "architectures": ["FocalNetForImageClassification"]}, "", "FocalNetModel", False),
        (LARGER, "?tower=vision", "SiglipVisionModel", False),
        ({"model_type": "blip-2", "vision_config": {}}, "?tower=vision", "Blip2VisionModel", False),
        ({"model_type": "clip", "vision_config": {}}, "?tower=vision", "CLIPVisionModel", False),
        (SHIPPED, "", "RADIOModel", True),
        ({"model_type": "clip", "auto_map": {"AutoModel": "m.EvaCLIPModel"}}, "", "EvaCLIPModel", True),
        ({"model_type": "vit", "auto_map": {"AutoModel": "m.Mine"}}, "", "ViTModel", False),  # theirs, not the code
    ],
)
def test_a_class_is_chosen_by_name(config, options, name, remote):
    chosen = choice(config, options)
    assert (chosen.name, chosen.remote) == (name, remote)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "bert", "architectures": ["BertModel"]}, "got architecture BertModel, expected one of CLIPM"),
        ({"model_type": "detr", "architectures": ["DetrModel"]}, "got architecture DetrModel"),
        ({"model_type": "vit", "architectures": ["BertModel"]}, "got architecture BertModel"),
        ({"auto_map": {"AutoModel": "modeling.Mine"}}, "got architecture Mine"),
        ({"architecture": "resnet18"}, "; it is a model of timm, expected timm:$"),
        ({}, "got architecture none and model type None"),
        (LARGER, r"of transformers; its image tower alone is read with \?tower=vision$"),
    ],
)
def test_other_classes_are_refused_by_name(config, message):
    with pytest.raises(IncompatibleError, match=message):
        choice(config)


def test_options_that_do_not_apply():
    with pytest.raises(ConfigError, match="got tower=vision for a config without vision_config"):
        choice({"model_type": "vit"}, "?tower=vision")
    with pytest.raises(IncompatibleError, match="got an image tower of model type qwen2_5_vl_vision, expected one of"):
        choice({"vision_config": {"model_type": "qwen2_5_vl_vision"}}, "?tower=vision")
    with pytest.raises(ConfigError, match="got adaptor=clip, expected one of RADIO's: this model has none"):
        choice(SHIPPED, "?adaptor=clip")


def test_every_row_names_a_class_of_transformers():
    transformers = pytest.importorskip("transformers")
    assert not [name for name in FAMILIES if not hasattr(transformers, name)]
    assert not set(FAMILIES) & set(REMOTE)
    assert image_classes()["focalnet"] == "FocalNetModel" and "detr" not in image_classes()
