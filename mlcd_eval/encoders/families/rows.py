"""How features are read from each class of transformers, and how each was trained to take texts: one row per class.

Poolings are those by which the authors evaluate a frozen model where they say so, else what the class itself pools.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Text:
    """How a family was trained to take texts.

    clean: on lower-cased texts (`lower`), on texts without punctuation too (`canonical`), or on texts as they are
    written (`none`). length: tokens at most, None for as many as the model has positions. full: padded to that length,
    else to the longest text of a batch. mask: whether the tower is given the mask of the padding. call: the method of
    the model from tokens to features in the joint space, or `itc` for BLIP's.
    """

    clean: str = "lower"
    length: int | None = None
    full: bool = False
    mask: bool = True
    call: str = "get_text_features"

    def padding(self, length: int) -> str:
        """The padding and the mask in words, as records store them."""
        padded = f"padded to {length}" if self.full else f"padded to the longest, cut at {length}"
        return f"{padded}, {'with a mask' if self.mask else 'no mask'}"


@dataclass(frozen=True)
class Family:
    """How features are read from the models of one class.

    model_type: as configs name it; the first row of a type is taken for configs that name no class.
    pool: poolings in order of preference: `pooler` (the class's own pooled output), `cls` (the class token), `mean` (of
    the patches). None of them: patches only.
    norm: the tower's layer norm that its last hidden state has not been through.
    projection: the model's layer from the pooled feature to the joint space; joint: whether the pooled feature, after
    the projection if there is one, is in a joint space; dense: whether the projection applies to single patches too.
    text: None without a text tower.
    prefix: how many tokens come before the patches; None for those that are left when the patches of `patch_size` are
    counted from the end.
    channels_last: whether a hidden state of four dimensions is (B, h, w, D).
    call: how the tower is called (adapters/hf/calls.py). unit_pixels: it takes pixels in [0, 1] and normalises itself.
    positions: how patches of other sizes get theirs, `interpolated` or `native` (sizes.py), where the tower does it
    unasked; empty where its forward takes `interpolate_pos_encoding` or there is no way.
    config: settings that a frozen model needs. also: further model types and architectures that this class reads.
    """

    model_type: str
    pool: tuple[str, ...] = ("pooler",)
    norm: str = ""
    projection: str = ""
    joint: bool = False
    dense: bool = False
    text: Text | None = None
    prefix: int | None = None
    channels_last: bool = False
    call: str = "images"
    unit_pixels: bool = False
    positions: Literal["", "interpolated", "native"] = ""
    config: Mapping[str, object] = field(default_factory=dict)
    also: tuple[str, ...] = ()


def _clip(model_type: str, text: Text | None, projection: str = "visual_projection") -> Family:
    return Family(
        model_type, norm="post_layernorm", projection=projection, joint=bool(projection), dense=True, text=text
    )


# as big_vision evaluates both SigLIPs and open_clip configures them; SigLIP's own tokenizer does it by itself
_SIGLIP_TEXT = Text("canonical", full=True, mask=False)

FAMILIES = {
    "CLIPModel": _clip("clip", Text()),
    "CLIPVisionModel": Family(
        "clip_vision_model", norm="post_layernorm", also=("CLIPForImageClassification", "CLIPVisionTransformer")
    ),
    "CLIPVisionModelWithProjection": _clip("clip_vision_model", None),
    "MetaClip2Model": _clip("metaclip_2", Text(clean="none", length=77)),
    "MetaClip2VisionModel": Family(
        "metaclip_2_vision_model", norm="post_layernorm", also=("MetaClip2ForImageClassification",)
    ),
    "MetaClip2VisionModelWithProjection": _clip("metaclip_2_vision_model", None),
    "ChineseCLIPModel": _clip("chinese_clip", Text(length=52)),
    "ChineseCLIPVisionModel": Family("chinese_clip_vision_model", norm="post_layernorm"),
    "AltCLIPModel": _clip("altclip", Text(clean="none", length=77)),
    "AltCLIPVisionModel": Family("altclip_vision_model", norm="post_layernorm"),
    "MLCDVisionModel": Family("mlcd_vision_model", norm="post_layernorm", positions="native", also=("mlcd",)),
    "SiglipModel": Family("siglip", joint=True, text=_SIGLIP_TEXT),
    "SiglipVisionModel": Family("siglip_vision_model", joint=True, also=("SiglipForImageClassification",)),
    "Siglip2Model": Family("siglip2", joint=True, text=_SIGLIP_TEXT, call="naflex"),
    "Siglip2VisionModel": Family(
        "siglip2_vision_model", joint=True, call="naflex", also=("Siglip2ForImageClassification",)
    ),
    "Aimv2Model": Family("aimv2", projection="visual_projection", joint=True, text=Text()),
    "Aimv2VisionModel": Family("aimv2_vision_model", pool=("pooler", "mean")),
    "AlignModel": Family("align", joint=True, text=Text(length=64, full=True)),
    "AlignVisionModel": Family("align_vision_model"),
    "BlipVisionModel": Family(
        "blip_vision_model",
        pool=("cls",),
        also=("BlipForConditionalGeneration", "BlipForQuestionAnswering"),
    ),
    "BlipForImageTextRetrieval": Family(
        "blip", pool=("cls",), projection="vision_proj", joint=True, dense=True, text=Text(length=35, call="itc")
    ),
    "BlipModel": Family("blip", projection="visual_projection", joint=True, text=Text()),
    "Blip2VisionModel": Family("blip_2_vision_model", pool=("cls",)),
    "InternVLVisionModel": Family("internvl_vision", pool=("cls",), positions="interpolated"),
    "Dinov2Model": Family("dinov2", positions="interpolated"),
    "Dinov2WithRegistersModel": Family("dinov2_with_registers", positions="interpolated"),
    "DINOv3ViTModel": Family("dinov3_vit", positions="native"),
    "DINOv3ConvNextModel": Family("dinov3_convnext", prefix=1, positions="native"),
    "ViTModel": Family("vit", pool=("cls",)),
    "ViTMSNModel": Family("vit_msn", pool=("cls",)),
    "ViTMAEModel": Family("vit_mae", pool=("cls",), call="mae", config={"mask_ratio": 0.0}),
    "DeiTModel": Family("deit", pool=("cls",)),
    "BeitModel": Family("beit", pool=("pooler", "mean")),
    "Data2VecVisionModel": Family("data2vec-vision", pool=("pooler", "mean"), config={"add_pooling_layer": True}),
    "IJepaModel": Family("ijepa", pool=("mean",)),
    "VJEPA2Model": Family("vjepa2", pool=("mean",), call="video"),
    "RadioModel": Family("radio", call="radio", unit_pixels=True, positions="interpolated"),
    "ConvNextModel": Family("convnext", positions="native"),
    "ConvNextV2Model": Family("convnextv2", positions="native"),
    "ResNetModel": Family("resnet", positions="native"),
    "RegNetModel": Family("regnet", positions="native"),
    "SwinModel": Family("swin", prefix=0),
    "Swinv2Model": Family("swinv2", prefix=0),
    "HieraModel": Family("hiera", pool=("pooler", "mean"), prefix=0),
    "SamVisionModel": Family("sam_vision_model", pool=("mean",), also=("sam", "SamModel")),
    "Sam2VisionModel": Family(
        "sam2_vision_model",
        pool=("mean",),
        channels_last=True,
        also=("sam2", "sam2_video", "Sam2Model", "Sam2VideoModel"),
    ),
}

REMOTE = {
    "RADIOModel": Family("", call="radio", unit_pixels=True, positions="interpolated"),
    "InternVisionModel": Family(""),
    "OneVisionEncoderModel": Family("", prefix=0),
    "AIMv2Model": Family("", pool=("mean",), prefix=0),
    "EvaCLIPModel": _clip("", Text(length=77, full=True, mask=False, call="encode_text")),
}
"""Classes that repositories ship as code, by the name that `auto_map` of their config gives."""

GENERIC = Family("", pool=("pooler", "cls", "mean"))
"""How any other image model of transformers is read."""

TOWERS = {"blip-2": "blip_2_vision_model", "internvl": "internvl_vision", "llava": "clip_vision_model"}
"""The model type of the image tower in a larger model, where the config of the tower leaves it out."""
