"""Names that mean weights which open_clip has too. Only what is certain is here: same weights, same input size."""

HUB_NAMES = {
    "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K": "ViT-B-16/datacomp_xl_s13b_b90k",
    "laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K": "ViT-B-32/datacomp_xl_s13b_b90k",
    "laion/CLIP-ViT-B-32-laion2B-s34B-b79K": "ViT-B-32/laion2b_s34b_b79k",
    "laion/CLIP-ViT-H-14-laion2B-s32B-b79K": "ViT-H-14/laion2b_s32b_b79k",
    "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K": "ViT-L-14/datacomp_xl_s13b_b90k",
    "laion/CLIP-ViT-L-14-laion2B-s32B-b82K": "ViT-L-14/laion2b_s32b_b82k",
    "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k": "ViT-bigG-14/laion2b_s39b_b160k",
    "laion/CLIP-ViT-g-14-laion2B-s34B-b88K": "ViT-g-14/laion2b_s34b_b88k",
    "openai/clip-vit-base-patch16": "ViT-B-16/openai",
    "openai/clip-vit-base-patch32": "ViT-B-32/openai",
    "openai/clip-vit-large-patch14": "ViT-L-14/openai",
    "QuanSun/EVA02-CLIP-B-16": "EVA02-B-16/merged2b_s8b_b131k",
    "QuanSun/EVA02-CLIP-L-14": "EVA02-L-14/merged2b_s4b_b131k",
    "QuanSun/EVA02-CLIP-bigE-14": "EVA02-E-14/laion2b_s4b_b115k",
    "QuanSun/EVA02-CLIP-bigE-14-plus": "EVA02-E-14-plus/laion2b_s9b_b144k",
    "google/siglip-base-patch16-224": "ViT-B-16-SigLIP/webli",
    "google/siglip-base-patch16-256": "ViT-B-16-SigLIP-256/webli",
    "google/siglip-base-patch16-256-multilingual": "ViT-B-16-SigLIP-i18n-256/webli",
    "google/siglip-base-patch16-384": "ViT-B-16-SigLIP-384/webli",
    "google/siglip-base-patch16-512": "ViT-B-16-SigLIP-512/webli",
    "google/siglip-large-patch16-256": "ViT-L-16-SigLIP-256/webli",
    "google/siglip-large-patch16-384": "ViT-L-16-SigLIP-384/webli",
    "google/siglip-so400m-patch14-224": "ViT-SO400M-14-SigLIP/webli",
    "google/siglip-so400m-patch14-384": "ViT-SO400M-14-SigLIP-384/webli",
}
"""MTEB's name -> NAME/TAG of open_clip."""

PAPER_NAMES = {
    "rice:CLIP ViT-L-14-336": "ViT-L-14-336/openai",
    "rice:DFN5B ViT-H-14-378": "ViT-H-14-378-quickgelu/dfn5b",
    "rice:SigLIP SO400M-384": "ViT-SO400M-14-SigLIP-384/webli",
    "rice:SigLIP SO400M-384 (LLaVA-OneVision)": "ViT-SO400M-14-SigLIP-384/webli",
    "onevision:CLIP ViT-L/14": "ViT-L-14/openai",
    "papers:CLIP|ViT-L/14|WIT-400M": "ViT-L-14/openai",
    "papers:CLIP|ViT-B/32|WIT-400M": "ViT-B-32/openai",
    "papers:OpenCLIP|ViT-L/14|LAION-400M": "ViT-L-14/laion400m_e32",
    "papers:OpenCLIP|ViT-B/32|LAION-400M": "ViT-B-32/laion400m_e32",
    "papers:CLIP|ViT-L-14-336|None": "ViT-L-14-336/openai",
    "papers:DFN5B|ViT-H-14-378|None": "ViT-H-14-378-quickgelu/dfn5b",
    "papers:MLCD|ViT-L-14-336|None": "MLCD ViT-L-14-336",
    "papers:SigLIP|ViT-SO400M-384|None": "ViT-SO400M-14-SigLIP-384/webli",
}
"""SOURCE:NAME -> NAME/TAG of open_clip; for a table of `results/published/*.json`, MODEL|ARCHITECTURE|PRETRAINING."""
