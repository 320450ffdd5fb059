"""Architectures of open_clip, timm, torchvision, ONNX and this project for the matrix, each with what its library
computes."""

from __future__ import annotations

from typing import Any

from benchmarks.encoder_matrix.case import Case
from benchmarks.encoder_matrix.other_parts import (
    TINY_VIT,
    clip,
    onnx_model,
    own_checkpoint,
    timm_model,
    torchvision_model,
    trunk,
)

SMALL: dict[str, Any] = {"depth": 2, "embed_dim": 64, "num_heads": 2}
STAGES: dict[str, Any] = {"depths": [1, 1, 1, 1], "dims": [8, 16, 24, 32]}
WINDOWS: dict[str, Any] = {"depths": [1, 1, 1, 1], "embed_dim": 16, "num_heads": [1, 1, 2, 2]}
AVERAGED = {**TINY_VIT, "pool_type": "avg", "final_ln_after_pool": True}

CASES: tuple[Case, ...] = (
    clip("CLIP ViT (open_clip)", TINY_VIT, projected_by="proj"),
    clip(
        "CLIP ViT, mean of patches", {**TINY_VIT, "pool_type": "avg", "final_ln_after_pool": True}, projected_by="proj"
    ),
    clip("CLIP ViT, QuickGELU", TINY_VIT, projected_by="proj", quick_gelu=True),
    clip("CLIP ResNet", {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16}),
    clip("SigLIP (open_clip)", trunk("test_vit3", "map", "none", 160), embed_dim=96),
    clip("CLIP ConvNeXt", trunk("test_convnext", "avg", "linear", 64)),
    clip("EVA-02 CLIP (open_clip)", trunk("eva02_tiny_patch14_224", "token", "linear", 224)),
    clip("PE-Core (open_clip)", trunk("vit_pe_core_tiny_patch16_384", "map", None, 384), embed_dim=512),
    clip("MobileCLIP (FastViT)", trunk("fastvit_t8", "avg", None, 64)),
    timm_model("ViT (timm)", "test_vit"),
    timm_model("DINOv2 (timm)", "vit_small_patch14_dinov2", img_size=56, **SMALL),
    timm_model("DINOv3 ViT (timm)", "vit_small_patch16_dinov3", token=True, img_size=64, **SMALL),
    timm_model("DINOv3 ConvNeXt (timm)", "convnext_tiny", **STAGES),
    timm_model("DeiT III", "deit3_small_patch16_224", **SMALL),
    timm_model("SigLIP ViT (timm)", "vit_base_patch16_siglip_224", **SMALL),
    timm_model("EVA-02 (timm)", "eva02_tiny_patch14_224", **SMALL),
    timm_model("BEiT (timm)", "beit_base_patch16_224", **SMALL),
    timm_model("AIMv2 (timm)", "aimv2_large_patch14_224", **SMALL),
    timm_model("PE-Core (timm)", "vit_pe_core_tiny_patch16_384", **SMALL),
    timm_model("NaFlex ViT", "naflexvit_base_patch16_gap", naflex=True, **SMALL),
    timm_model(
        "Swin (timm)", "swin_tiny_patch4_window7_224", depths=[1, 1, 1, 1], embed_dim=16, num_heads=[1, 1, 2, 2]
    ),
    timm_model("ResNet (timm)", "test_resnet"),
    timm_model("EfficientNet (timm)", "test_efficientnet"),
    timm_model("NFNet", "test_nfnet"),
    timm_model("MobileNetV4", "mobilenetv4_conv_small_035"),
    timm_model("PiT", "pit_ti_224"),
    timm_model("CoaT", "coat_lite_tiny"),
    timm_model("CrossViT", "crossvit_tiny_240"),
    timm_model("XCiT", "xcit_nano_12_p16_224"),
    torchvision_model("ResNet (torchvision)", "resnet18", "flatten"),
    torchvision_model("MobileNetV3", "mobilenet_v3_small", "classifier.2"),
    torchvision_model("ShuffleNetV2", "shufflenet_v2_x0_5", "mean"),
    torchvision_model("DenseNet", "densenet121", "flatten"),
    torchvision_model("RegNet (torchvision)", "regnet_y_400mf", "flatten"),
    torchvision_model("EfficientNet (torchvision)", "efficientnet_b0", "flatten"),
    torchvision_model("Swin (torchvision)", "swin_t", "flatten"),
    onnx_model("ViT (ONNX)", "test_vit"),
    onnx_model("ResNet (ONNX)", "test_resnet"),
    own_checkpoint("MLCD checkpoint, two towers", text=True),
    own_checkpoint("MLCD checkpoint, image tower", text=False),
)
