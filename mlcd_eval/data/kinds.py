"""The data schemes, one row each.

To add a scheme, write a Source in data/sources and a row here; other packages add rows by the entry-point group
`mlcd_eval.data`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from mlcd_eval.data.base import Kind
from mlcd_eval.data.scheme import DataScheme, SchemeOption
from mlcd_eval.support.registry import Registry


def _row(
    form: str, source: str, kinds: tuple[Kind, ...], about: str, *options: SchemeOption, **more: Any
) -> DataScheme:
    """A scheme of this package. form: begins with its name; source: FILE:CLASS in data/sources."""
    name = form.partition(":")[0]
    return DataScheme(name, f"mlcd_eval.data.sources.{source}", form, about, kinds, options, **more)


def _images(default: str) -> SchemeOption:
    return SchemeOption("images", ".+", f"the folder of the images, by default {default}")


def _layout(names: str) -> SchemeOption:
    return SchemeOption("layout", names, "the layout, by default the one that is recognised")


_hf_row = partial(_row, package="datasets", extra="datasets", is_slow=True)
_HF = (
    SchemeOption("config", ".+", "the configuration of a repository that has several"),
    SchemeOption("revision", ".+", "a commit, branch or tag of the hub repository"),
)
_SPLITS = tuple(
    SchemeOption(f"split_{split}", ".+", f"the source's name of the split {split}")
    for split in ("train", "val", "test")
)
_IN_FOLDER = _images("images in the folder itself")
_SPLIT = SchemeOption("split", "train|val|test", "the split that the images are, by default test")
_COLUMNS = {
    "image": "image paths or bytes",
    "label": "labels, which are class indices or words",
    "caption": "captions, which are texts or lists of texts",
    "split": "splits, which are train, val or test",
    "group": "groups, whose accuracies are compared",
}
_TABLE = (
    *(SchemeOption(name, ".+", f"the column of {what}") for name, what in _COLUMNS.items()),
    SchemeOption("train", ".+", "another file, of the split train"),
    _images("the file's own"),
)

# fmt: off
ROWS = (
    _row("wds:DIR|URL", "wds:WebDatasets", ("classification", "multilabel", "retrieval"),
         "clip-benchmark's webdataset layout, in a folder or streamed from the web"),
    _row("imagefolder:DIR[?OPTIONS]", "imagefolder:ImageFolders", ("classification",),
         "one folder of images per class, below a folder per split or not",
         SchemeOption("split", ".+", "the folder that is scored, such as validation"),
         SchemeOption("val", r"0?\.\d*[1-9]\d*", "the share of train that is held out as val, such as 0.1")),
    _row("csv:FILE[?OPTIONS]", "csv_files:CsvFiles", ("classification", "retrieval"),
         "a CSV file with a column of image paths and one of labels or captions", *_TABLE,
         SchemeOption("delimiter", ".|tab|comma|semicolon|pipe|space", "the character between columns, or its name"),
         SchemeOption("encoding", ".+", "the encoding of the text, by default UTF-8")),
    _row("parquet:FILE[?OPTIONS]", "parquet_files:ParquetFiles", ("classification", "retrieval"),
         "a Parquet file with a column of images (bytes or paths) and one of labels or captions", *_TABLE,
         package="pyarrow", extra="datasets"),
    _row("coco:FILE.json[?OPTIONS]", "coco:CocoFiles", ("retrieval", "refer"),
         "captions in COCO's layout; with masks or boxes they are expressions that refer to them",
         _images("one of COCO's places"), SchemeOption("train", ".+", "another file, of the split train"),
         SchemeOption("train_images", ".+", "the folder of its images, by default the same")),
    _row("tars:GLOB|BRACES|URL[?OPTIONS]", "tars:TarFiles", ("classification", "retrieval", "images"),
         "tar files as img2dataset writes them, of images with .txt, .json or .cls, or alone", _SPLIT,
         SchemeOption("captions", "txt|json|none", "where captions are, by default where the first sample has one")),
    _row("files:DIR[?OPTIONS]", "files:ImageFiles", ("images",),
         "images without labels, in one folder or in folders of folders", _SPLIT),
    _hf_row("hf:ORG/NAME|DIR[?OPTIONS]", "hf:HuggingFaceDatasets", ("classification", "multilabel", "retrieval"),
            "images with labels or captions that the library `datasets` reads", *_HF,
            SchemeOption("image", ".+", "the column of images"), SchemeOption("label", ".+", "the column of labels"),
            SchemeOption("text", ".+", "the column of captions"), *_SPLITS),
    _row("torchvision:CLASS?root=DIR[&download=true]", "torchvision:TorchvisionDatasets", ("classification",),
         "a classification dataset of torchvision.datasets",
         SchemeOption("root", ".+", "the folder of its files", required=True),
         SchemeOption("download", "true|false", "true to download missing files"),
         package="torchvision", extra="run", is_slow=True),
    _row("refer:ROOT/NAME/SPLIT_BY[/SPLIT]", "refer:ReferDatasets", ("refer",),
         "sentences about parts of images in RefCOCO's layout", splits_are_tasks=True),
    _row("seg:DIR[?layout=LAYOUT]", "seg:SegmentationFiles", ("segmentation",),
         "a class for each pixel, as ADE20K, Pascal VOC, Cityscapes and COCO-Stuff come, and the bundled scenes",
         _layout("scenes|voc|cityscapes|ade20k|coco_stuff")),
    _row("depth:DIR[?layout=LAYOUT]", "pixels:DepthFiles", ("depth",),
         "the depth of each pixel, as NYUv2 and KITTI come, one's own folders, and the bundled scenes",
         _layout("scenes|nyu|nyu_mat|kitti|folders")),
    _row("normals:DIR[?layout=LAYOUT]", "pixels:NormalFiles", ("normals",),
         "the direction that each pixel faces, as NYUv2 comes, one's own folders, and the bundled scenes",
         _layout("scenes|dsine|folders")),
    _row("regions:DIR[?year=YEAR] or regions:NAME.words.json", "regions:RegionFiles", ("regions",),
         "boxes and masks with classes, as COCO and LVIS come; the bundled scenes; words on rendered pages",
         SchemeOption("year", r"\d{4}", "of COCO's files, where a folder has those of several")),
    _row("docvqa:FILE[?images=DIR]", "docvqa:DocVQAFiles", ("docvqa",),
         "questions on pages, one of DocVQA's or InfographicVQA's JSON files",
         SchemeOption("images", ".+", "a folder to look for the images in first"), root_option="images"),
    _row("pairs:FILE.jsonl[?OPTIONS]", "pairs:PairFiles", ("pairs",),
         "images and texts to choose from, a line of JSON per item", _images("the file's own"), _SPLIT),
    _row("sugarcrepe:DIR[?OPTIONS]", "pair_layouts:SugarCrepe", ("pairs",),
         "SugarCrepe's own files, a sort of wrong captions each",
         SchemeOption("images", ".+", "the folder of COCO's val2017, by default images in the folder itself"),
         SchemeOption("sort", "(add|replace|swap)_(att|obj|rel)", "the file that is read, by default all")),
    _row("vl-checklist:DIR[?OPTIONS]", "pair_layouts:VLCheckList", ("pairs",),
         "VL-CheckList: objects, attributes and relations with a wrong text each",
         SchemeOption("images", ".+", "the folder that has hake, swig and vg, by default the folder itself"),
         SchemeOption("type", "Attribute|Object|Relation", "the part that is read, by default all")),
    _hf_row("hf-pairs:ORG/NAME|DIR?images=COLUMNS&texts=COLUMNS[&OPTIONS]", "hf_pairs:HuggingFacePairSets", ("pairs",),
            "images and texts to choose from that the library `datasets` reads, such as mteb's copies",
            SchemeOption("images", ".+", "the columns of images, separated by commas", required=True),
            SchemeOption("texts", ".+", "the columns of texts, those of the images first", required=True),
            *_HF, *_SPLITS),
    _row("xm3600:DIR[?images=DIR]", "xm3600:Crossmodal", ("retrieval",),
         "captions of images in several languages, in Crossmodal-3600's layout", _IN_FOLDER),
    _row("xtd:DIR[?images=DIR]", "caption_lines:XTD", ("retrieval",),
         "XTD: images of COCO with a caption in each of 11 languages", _IN_FOLDER),
    _row("multi30k:DIR[?OPTIONS]", "caption_lines:Multi30k", ("retrieval",),
         "Multi30k: images of Flickr30k with a caption in each of four languages, its task 1",
         _IN_FOLDER, SchemeOption("split", r"[\w-]+", "the file of image names, by default test_2016_flickr")),
    _row("coco-cn:DIR[?images=DIR]", "coco_cn:CocoCN", ("retrieval",),
         "COCO-CN: Chinese captions of COCO's images", _IN_FOLDER),
    _row("urban1k:DIR", "long_texts:Urban1k", ("retrieval",),
         "Urban-1k: images with a caption of about 100 words each"),
    _row("sharegpt4v:FILE.json[?OPTIONS]", "long_texts:ShareGPT4V", ("retrieval",),
         "ShareGPT4V: images with a long caption each, as conversations", _images("the file's own"),
         SchemeOption("first", r"[1-9]\d*|all", "how many images of the file, by default 1000")),
    _row("dci:DIR[?captions=short]", "long_texts:DCI", ("retrieval",),
         "Densely Captioned Images: photos with a long caption each",
         SchemeOption("captions", "extended|short", "short for the short captions alone")),
    _row("keypoints:DIR[?layout=LAYOUT]", "keypoints:KeypointFiles", ("keypoints",),
         "points of two images, as SPair-71k and NAVI come, and the bundled scenes", _layout("scenes|spair|navi")),
    _row("video:DIR[?layout=LAYOUT]", "video:VideoFiles", ("video",),
         "clips with a mask of numbered objects for each frame, as DAVIS 2017 comes, and the bundled clips",
         _layout("scenes|davis")),
    _hf_row("hf-vqa:ORG/NAME|DIR[?OPTIONS]", "hf_questions:HuggingFaceQuestionSets", ("docvqa",),
            "questions on images that the library `datasets` reads, such as lmms-lab's copies", *_HF, *_SPLITS),
    _row("winogavil:FILE.csv[?images=DIR]", "winogavil:Associations", ("associations",),
         "WinoGAViL's table of cues, each with candidate images of which some are associated with it",
         _images("images or winogavil_images")),
    _row("revisitop:DIR/gnd_NAME.pkl[?OPTIONS]", "revisitop:RevisitedLandmarks", ("instances",),
         "Revisited Oxford and Paris, queries with easy, hard and junk images; the ground truth as pickle or JSON",
         _images("jpg beside the file"),
         SchemeOption("distractors", ".+", "a folder of images that are added to the gallery")),
    _row("gldv2:DIR[?OPTIONS]", "gldv2:Landmarks", ("instances",),
         "Google Landmarks v2, retrieval or recognition",
         SchemeOption("usage", "Private|Public", "which queries, by default those of Private, the test set"),
         SchemeOption("task", "retrieval|recognition", "the index is searched, or train, by default the index")),
    _row("met:DIR[?OPTIONS]", "met:Exhibits", ("instances",), "the Met data set of exhibits",
         SchemeOption("queries", "test|val", "which queries, by default test"),
         SchemeOption("database", "mini|full", "which gallery, by default the full one"), _images("images")),
    _row("inshop:DIR[?images=DIR]", "inshop:InShop", ("classification",),
         "DeepFashion's In-Shop Clothes Retrieval, splits train, test (its queries) and gallery",
         SchemeOption("images", ".+", "the folder of img, by default Img or the folder itself")),
    _row("cub:DIR", "cub:Birds", ("classification",),
         "CUB-200-2011, whose test split is the second half of the classes, as in metric learning"),
    _row("views:FILE.views.json", "views:PictureViews", ("classification",),
         "altered views of a webdataset's pictures, a class for each picture"),
    _row("scene-views:FILE.scene_views.json", "scene_views:SceneObjects", ("classification",),
         "objects of rendered scenes, a class for each, cut out of every view of its scene"),
)
# fmt: on

SCHEMES: Registry[DataScheme] = Registry("data scheme", "mlcd_eval.data", {row.name: row for row in ROWS})


def scheme_forms() -> str:
    """Every scheme's form, for messages and help; those of other packages by name alone, which imports nothing."""
    return ", ".join([*(row.form for row in ROWS), *(f"{name}:..." for name in SCHEMES.added)])
