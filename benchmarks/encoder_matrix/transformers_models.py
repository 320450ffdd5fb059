"""Architectures of transformers for the matrix: small, with random weights, and what transformers computes for them."""

from __future__ import annotations

import transformers as T
from open_clip.tokenizer import get_clean_fn

from benchmarks.encoder_matrix.transformers_makers import (
    NARROW,
    TOWERS,
    bert_tokenizer,
    blip,
    blip2,
    internvl,
    llava,
    sam2,
    siglip,
    siglip2,
    square,
)
from benchmarks.encoder_matrix.transformers_parts import (
    BERT,
    DINO,
    SAM_TOWER,
    STAGES,
    VIT,
    case,
    class_token,
    contrast,
    hierarchical,
    longest,
    masked_autoencoder,
    mean,
    mean_of_map,
    padded,
    part,
    pooler,
    pooler_and_last,
    pooler_and_map,
    radio,
    squashed,
    still,
    two_towers,
)

CASES = (
    case("CLIP", lambda: T.CLIPModel(T.CLIPConfig(**TOWERS)), two_towers, tokens=longest(lower=True)),
    case(
        "CLIP (image tower)",
        lambda: T.CLIPVisionModelWithProjection(T.CLIPVisionConfig(**VIT, projection_dim=16)),
        lambda model, inputs: {
            "penultimate": model.vision_model(**inputs).pooler_output,
            "projected": model(**inputs).image_embeds,
        },
    ),
    case("CLIP (image tower, no projection)", lambda: T.CLIPVisionModel(T.CLIPVisionConfig(**VIT)), pooler),
    case("MetaCLIP 2", lambda: T.MetaClip2Model(T.MetaClip2Config(**TOWERS)), two_towers, tokens=longest(False, 77)),
    case(
        "Chinese-CLIP",
        lambda: T.ChineseCLIPModel(T.ChineseCLIPConfig(**{**TOWERS, "text_config": BERT})),
        two_towers,
        square(T.ChineseCLIPImageProcessorPil),
        tokens=longest(lower=True, length=52),
        tokenizer=bert_tokenizer,
    ),
    case(
        "AltCLIP",
        lambda: T.AltCLIPModel(T.AltCLIPConfig(**{**TOWERS, "text_config": {**BERT, "project_dim": 32}})),
        two_towers,
        tokens=longest(lower=False, length=77),
        tokenizer=bert_tokenizer,
    ),
    case(
        "SigLIP, SigLIP 2",
        lambda: T.SiglipModel(siglip()),
        two_towers,
        square(T.SiglipImageProcessorPil),
        tokens=padded(16, mask=False, clean=get_clean_fn("canonicalize")),
    ),
    case(
        "SigLIP 2 NaFlex",
        lambda: T.Siglip2Model(siglip2()),
        two_towers,
        lambda: T.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=24),
        tokens=padded(16, mask=False, clean=get_clean_fn("canonicalize")),
    ),
    case(
        "SigLIP without a head",
        lambda: T.SiglipVisionModel(siglip(vision_use_head=False).vision_config),
        mean,
        square(T.SiglipImageProcessorPil),
        options="?pool=mean",
    ),
    case("AIMv2", lambda: T.Aimv2VisionModel(T.Aimv2VisionConfig(**VIT)), pooler),
    case("AIMv2 without a head", lambda: T.Aimv2VisionModel(T.Aimv2VisionConfig(**VIT, use_head=False)), mean),
    case("AIMv2-lit", lambda: T.Aimv2Model(T.Aimv2Config(**TOWERS)), two_towers, tokens=longest(lower=True)),
    case(
        "ALIGN",
        lambda: T.AlignModel(T.AlignConfig(text_config=BERT, vision_config=NARROW, projection_dim=128)),
        two_towers,
        square(T.EfficientNetImageProcessorPil),
        tokens=padded(64, mask=True),
        tokenizer=bert_tokenizer,
    ),
    case(
        "BLIP (image-text contrast)",
        lambda: T.BlipForImageTextRetrieval(blip()),
        contrast,
        square(T.BlipImageProcessorPil),
        tokens=longest(lower=True, length=35),
        tokenizer=bert_tokenizer,
        text_features=lambda model, tokens: model.text_proj(model.text_encoder(**tokens).last_hidden_state[:, 0]),
    ),
    case(
        "BLIP (image tower of the captioner)",
        lambda: T.BlipForConditionalGeneration(blip()),
        part("vision_model", class_token),
        square(T.BlipImageProcessorPil),
    ),
    case(
        "BLIP-2 (image tower)",
        blip2,
        part("vision_model", class_token),
        square(T.BlipImageProcessorPil),
        options="?tower=vision",
    ),
    case("LLaVA (image tower)", llava, part("model.vision_tower", pooler), options="?tower=vision"),
    case("InternVL (image tower)", internvl, part("model.vision_tower", class_token), options="?tower=vision"),
    case("MLCD", lambda: T.MLCDVisionModel(T.MLCDVisionConfig(**VIT)), pooler),
    case("DINOv2", lambda: T.Dinov2Model(T.Dinov2Config(**DINO)), pooler_and_last(4)),
    case(
        "DINOv2 with registers",
        lambda: T.Dinov2WithRegistersModel(T.Dinov2WithRegistersConfig(**DINO)),
        pooler_and_last(4),
    ),
    case(
        "DINOv3 ViT",
        lambda: T.DINOv3ViTModel(T.DINOv3ViTConfig(**VIT, num_register_tokens=4)),
        pooler_and_last(4),
        square(T.DINOv3ViTImageProcessor),
    ),
    case(
        "DINOv3 ConvNeXt",
        lambda: T.DINOv3ConvNextModel(T.DINOv3ConvNextConfig(**STAGES)),
        pooler_and_last(2),
        square(T.DINOv3ViTImageProcessor, 64),
    ),
    case("ViT", lambda: T.ViTModel(T.ViTConfig(**VIT)), class_token, square(T.ViTImageProcessorPil)),
    case(
        "ViT (of a classifier)",
        lambda: T.ViTForImageClassification(T.ViTConfig(**VIT)),
        part("vit", class_token),
        square(T.ViTImageProcessorPil),
    ),
    case("ViT-MSN", lambda: T.ViTMSNModel(T.ViTMSNConfig(**VIT)), class_token, square(T.ViTImageProcessorPil)),
    case("MAE", lambda: T.ViTMAEModel(T.ViTMAEConfig(**VIT)), masked_autoencoder, square(T.ViTImageProcessorPil)),
    case("DeiT", lambda: T.DeiTModel(T.DeiTConfig(**VIT)), class_token, square(T.DeiTImageProcessorPil)),
    case("BEiT", lambda: T.BeitModel(T.BeitConfig(**VIT)), pooler_and_last(4), square(T.BeitImageProcessorPil)),
    case(
        "Data2Vec-vision",
        lambda: T.Data2VecVisionForImageClassification(T.Data2VecVisionConfig(**VIT)),
        part("data2vec_vision", pooler_and_last(4)),
        square(T.BeitImageProcessorPil),
    ),
    case("I-JEPA", lambda: T.IJepaModel(T.IJepaConfig(**VIT)), mean, square(T.ViTImageProcessorPil)),
    case(
        "V-JEPA 2 (still images)",
        lambda: T.VJEPA2Model(
            T.VJEPA2Config(
                **{key: DINO[key] for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "patch_size")},
                crop_size=32,
                frames_per_clip=4,
                pred_hidden_size=32,
                pred_num_hidden_layers=1,
                pred_num_attention_heads=2,
            )
        ),
        still,
        lambda: T.VJEPA2VideoProcessor(crop_size={"height": 32, "width": 32}, size={"shortest_edge": 36}),
    ),
    case(
        "RADIO",
        lambda: T.RadioModel(T.RadioConfig(**DINO, max_img_size=64)),
        radio,
        lambda: squashed(T.CLIPImageProcessorPil, do_normalize=False, do_center_crop=False),
    ),
    case(
        "ConvNeXt",
        lambda: T.ConvNextModel(T.ConvNextConfig(**STAGES)),
        pooler_and_map,
        lambda: T.ConvNextImageProcessorPil(size={"shortest_edge": 64}),
    ),
    case(
        "ConvNeXt V2",
        lambda: T.ConvNextV2Model(T.ConvNextV2Config(**STAGES)),
        pooler_and_map,
        lambda: T.ConvNextImageProcessorPil(size={"shortest_edge": 64}),
    ),
    case("ResNet", lambda: T.ResNetModel(T.ResNetConfig(**STAGES, embedding_size=8)), pooler_and_map),
    case("RegNet", lambda: T.RegNetModel(T.RegNetConfig(**STAGES, embedding_size=8, groups_width=8)), pooler_and_map),
    *(
        case(
            name,
            lambda cls=cls, config=config: cls(
                config(image_size=32, patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4)
            ),
            pooler_and_last(8),
            square(T.ViTImageProcessorPil),
        )
        for name, cls, config in (("Swin", T.SwinModel, T.SwinConfig), ("Swin V2", T.Swinv2Model, T.Swinv2Config))
    ),
    case(
        "Hiera",
        lambda: T.HieraModel(
            T.HieraConfig(image_size=[64, 64], embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2])
        ),
        pooler_and_last(2),
        square(T.ViTImageProcessorPil, 64),
    ),
    case(
        "SAM",
        lambda: T.SamModel(T.SamConfig(vision_config=SAM_TOWER)),
        part("vision_encoder", mean_of_map),
        square(T.ViTImageProcessorPil),
    ),
    case(
        "SAM 2",
        lambda: T.Sam2Model(T.Sam2Config(vision_config=sam2())),
        part("vision_encoder", hierarchical),
        square(T.ViTImageProcessorPil, 64),
    ),
    case(
        "FocalNet",
        lambda: T.FocalNetModel(T.FocalNetConfig(image_size=32, embed_dim=8, depths=[1, 1, 1, 1])),
        pooler,
    ),
    case("Pixio", lambda: T.PixioModel(T.PixioConfig(**DINO)), pooler_and_last(4), square(T.ViTImageProcessorPil)),
    case(
        "MobileNet V2",
        lambda: T.MobileNetV2Model(T.MobileNetV2Config(depth_multiplier=0.25)),
        pooler_and_map,
        square(T.ViTImageProcessorPil),
    ),
    case(
        "TIPSv2 (image tower)",
        lambda: T.Tipsv2VisionModel(T.Tipsv2VisionConfig(**VIT)),
        pooler_and_last(4),
        square(T.ViTImageProcessorPil),
    ),
)
