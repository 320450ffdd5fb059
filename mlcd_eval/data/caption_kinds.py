"""The data schemes of captions in several languages and of long ones, one row each."""

from __future__ import annotations

from mlcd_eval.data.scheme import DataScheme, SchemeOption

_IMAGES = SchemeOption("images", ".+", "the folder of the images, by default images in the folder itself")

CAPTION_ROWS = (
    DataScheme(
        name="xm3600",
        source="mlcd_eval.data.sources.xm3600:Crossmodal",
        form="xm3600:DIR[?images=DIR]",
        help="captions of images in several languages, in Crossmodal-3600's layout",
        kinds=("retrieval",),
        options=(_IMAGES,),
    ),
    DataScheme(
        name="xtd",
        source="mlcd_eval.data.sources.caption_lines:XTD",
        form="xtd:DIR[?images=DIR]",
        help="XTD: images of COCO with a caption in each of 11 languages",
        kinds=("retrieval",),
        options=(_IMAGES,),
    ),
    DataScheme(
        name="multi30k",
        source="mlcd_eval.data.sources.caption_lines:Multi30k",
        form="multi30k:DIR[?OPTIONS]",
        help="Multi30k: images of Flickr30k with a caption in each of four languages, its task 1",
        kinds=("retrieval",),
        options=(_IMAGES, SchemeOption("split", r"[\w-]+", "the file of image names, by default test_2016_flickr")),
    ),
    DataScheme(
        name="coco-cn",
        source="mlcd_eval.data.sources.coco_cn:CocoCN",
        form="coco-cn:DIR[?images=DIR]",
        help="COCO-CN: Chinese captions of COCO's images",
        kinds=("retrieval",),
        options=(_IMAGES,),
    ),
    DataScheme(
        name="urban1k",
        source="mlcd_eval.data.sources.long_texts:Urban1k",
        form="urban1k:DIR",
        help="Urban-1k: images with a caption of about 100 words each",
        kinds=("retrieval",),
    ),
    DataScheme(
        name="sharegpt4v",
        source="mlcd_eval.data.sources.long_texts:ShareGPT4V",
        form="sharegpt4v:FILE.json[?OPTIONS]",
        help="ShareGPT4V: images with a long caption each, as conversations",
        kinds=("retrieval",),
        options=(
            SchemeOption("images", ".+", "the folder of the images, by default the file's own"),
            SchemeOption("first", r"[1-9]\d*|all", "how many images of the file, by default 1000"),
        ),
    ),
    DataScheme(
        name="dci",
        source="mlcd_eval.data.sources.long_texts:DCI",
        form="dci:DIR[?captions=short]",
        help="Densely Captioned Images: photos with a long caption each",
        kinds=("retrieval",),
        options=(SchemeOption("captions", "extended|short", "short for the short captions alone"),),
    ),
)
