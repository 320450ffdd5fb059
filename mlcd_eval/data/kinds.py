"""The data schemes, one row each.

To add a scheme, write a Source in data/sources and a row here; other packages add rows by the entry-point group
`mlcd_eval.data`.
"""

from __future__ import annotations

from mlcd_eval.data.caption_kinds import CAPTION_ROWS
from mlcd_eval.data.motion_kinds import MOTION_ROWS
from mlcd_eval.data.scheme import DataScheme, SchemeOption
from mlcd_eval.data.search_kinds import SEARCH_ROWS
from mlcd_eval.support.registry import Registry

_SPLITS = tuple(
    SchemeOption(f"split_{split}", ".+", f"the source's name of the split {split}")
    for split in ("train", "val", "test")
)
_CONFIG = SchemeOption("config", ".+", "the configuration of a repository that has several")
_REVISION = SchemeOption("revision", ".+", "a commit, branch or tag of the hub repository")
_SPLIT = SchemeOption("split", "train|val|test", "the split that the images are, by default test")
_TABLE = (
    SchemeOption("image", ".+", "the column of image paths or bytes"),
    SchemeOption("label", ".+", "the column of labels, which are class indices or words"),
    SchemeOption("caption", ".+", "the column of captions, which are texts or lists of texts"),
    SchemeOption("split", ".+", "the column of splits, which are train, val or test"),
    SchemeOption("group", ".+", "the column of groups, whose accuracies are compared"),
    SchemeOption("train", ".+", "another file, of the split train"),
    SchemeOption("images", ".+", "the folder of the images, by default the file's own"),
)
_CSV = (
    SchemeOption("delimiter", ".|tab|comma|semicolon|pipe|space", "the character between columns, or its name"),
    SchemeOption("encoding", ".+", "the encoding of the text, by default UTF-8"),
)

ROWS = (
    DataScheme(
        name="wds",
        source="mlcd_eval.data.sources.wds:WebDatasets",
        form="wds:DIR|URL",
        help="clip-benchmark's webdataset layout, in a folder or streamed from the web",
        kinds=("classification", "multilabel", "retrieval"),
    ),
    DataScheme(
        name="imagefolder",
        source="mlcd_eval.data.sources.imagefolder:ImageFolders",
        form="imagefolder:DIR[?OPTIONS]",
        help="one folder of images per class, below a folder per split or not",
        kinds=("classification",),
        options=(
            SchemeOption("split", ".+", "the folder that is scored, such as validation"),
            SchemeOption("val", r"0?\.\d*[1-9]\d*", "the share of train that is held out as val, such as 0.1"),
        ),
    ),
    DataScheme(
        name="csv",
        source="mlcd_eval.data.sources.csv_files:CsvFiles",
        form="csv:FILE[?OPTIONS]",
        help="a CSV file with a column of image paths and one of labels or captions",
        kinds=("classification", "retrieval"),
        options=(*_TABLE, *_CSV),
    ),
    DataScheme(
        name="parquet",
        source="mlcd_eval.data.sources.parquet_files:ParquetFiles",
        form="parquet:FILE[?OPTIONS]",
        help="a Parquet file with a column of images (bytes or paths) and one of labels or captions",
        kinds=("classification", "retrieval"),
        options=_TABLE,
        package="pyarrow",
        extra="datasets",
    ),
    DataScheme(
        name="coco",
        source="mlcd_eval.data.sources.coco:CocoFiles",
        form="coco:FILE.json[?OPTIONS]",
        help="captions in COCO's layout; with masks or boxes they are expressions that refer to them",
        kinds=("retrieval", "refer"),
        options=(
            SchemeOption("images", ".+", "the folder of the images, by default one of COCO's places"),
            SchemeOption("train", ".+", "another file, of the split train"),
            SchemeOption("train_images", ".+", "the folder of its images, by default the same"),
        ),
    ),
    DataScheme(
        name="tars",
        source="mlcd_eval.data.sources.tars:TarFiles",
        form="tars:GLOB|BRACES|URL[?OPTIONS]",
        help="tar files as img2dataset writes them, of images with .txt, .json or .cls, or alone",
        kinds=("classification", "retrieval", "images"),
        options=(
            _SPLIT,
            SchemeOption("captions", "txt|json|none", "where captions are, by default where the first sample has one"),
        ),
    ),
    DataScheme(
        name="files",
        source="mlcd_eval.data.sources.files:ImageFiles",
        form="files:DIR[?OPTIONS]",
        help="images without labels, in one folder or in folders of folders",
        kinds=("images",),
        options=(_SPLIT,),
    ),
    DataScheme(
        name="hf",
        source="mlcd_eval.data.sources.hf:HuggingFaceDatasets",
        form="hf:ORG/NAME|DIR[?OPTIONS]",
        help="images with labels or captions that the library `datasets` reads",
        kinds=("classification", "multilabel", "retrieval"),
        options=(
            _CONFIG,
            _REVISION,
            SchemeOption("image", ".+", "the column of images"),
            SchemeOption("label", ".+", "the column of labels"),
            SchemeOption("text", ".+", "the column of captions"),
            *_SPLITS,
        ),
        package="datasets",
        extra="datasets",
        is_slow=True,
    ),
    DataScheme(
        name="torchvision",
        source="mlcd_eval.data.sources.torchvision:TorchvisionDatasets",
        form="torchvision:CLASS?root=DIR[&download=true]",
        help="a classification dataset of torchvision.datasets",
        kinds=("classification",),
        options=(
            SchemeOption("root", ".+", "the folder of its files", required=True),
            SchemeOption("download", "true|false", "true to download missing files"),
        ),
        package="torchvision",
        extra="run",
        is_slow=True,
    ),
    DataScheme(
        name="refer",
        source="mlcd_eval.data.sources.refer:ReferDatasets",
        form="refer:ROOT/NAME/SPLIT_BY[/SPLIT]",
        help="sentences about parts of images in RefCOCO's layout",
        kinds=("refer",),
        splits_are_tasks=True,
    ),
    DataScheme(
        name="seg",
        source="mlcd_eval.data.sources.seg:SegmentationFiles",
        form="seg:DIR[?layout=LAYOUT]",
        help="a class for each pixel, as ADE20K, Pascal VOC, Cityscapes and COCO-Stuff come, and the bundled scenes",
        kinds=("segmentation",),
        options=(
            SchemeOption(
                "layout", "scenes|voc|cityscapes|ade20k|coco_stuff", "the layout, by default the one that is recognised"
            ),
        ),
    ),
    DataScheme(
        name="depth",
        source="mlcd_eval.data.sources.pixels:DepthFiles",
        form="depth:DIR[?layout=LAYOUT]",
        help="the depth of each pixel, as NYUv2 and KITTI come, one's own folders, and the bundled scenes",
        kinds=("depth",),
        options=(
            SchemeOption("layout", "scenes|nyu|kitti|folders", "the layout, by default the one that is recognised"),
        ),
    ),
    DataScheme(
        name="normals",
        source="mlcd_eval.data.sources.pixels:NormalFiles",
        form="normals:DIR[?layout=LAYOUT]",
        help="the direction that each pixel faces, as NYUv2 comes, one's own folders, and the bundled scenes",
        kinds=("normals",),
        options=(SchemeOption("layout", "scenes|dsine|folders", "the layout, by default the one that is recognised"),),
    ),
    DataScheme(
        name="regions",
        source="mlcd_eval.data.sources.regions:RegionFiles",
        form="regions:DIR[?year=YEAR] or regions:NAME.words.json",
        help="boxes and masks with classes, as COCO and LVIS come; the bundled scenes; words on rendered pages",
        kinds=("regions",),
        options=(SchemeOption("year", r"\d{4}", "of COCO's files, where a folder has those of several"),),
    ),
    DataScheme(
        name="docvqa",
        source="mlcd_eval.data.sources.docvqa:DocVQAFiles",
        form="docvqa:FILE[?images=DIR]",
        help="questions on pages, one of DocVQA's or InfographicVQA's JSON files",
        kinds=("docvqa",),
        options=(SchemeOption("images", ".+", "a folder to look for the images in first"),),
        root_option="images",
    ),
    DataScheme(
        name="pairs",
        source="mlcd_eval.data.sources.pairs:PairFiles",
        form="pairs:FILE.jsonl[?OPTIONS]",
        help="images and texts to choose from, a line of JSON per item",
        kinds=("pairs",),
        options=(SchemeOption("images", ".+", "the folder of the images, by default the file's own"), _SPLIT),
    ),
    DataScheme(
        name="sugarcrepe",
        source="mlcd_eval.data.sources.pair_layouts:SugarCrepe",
        form="sugarcrepe:DIR[?OPTIONS]",
        help="SugarCrepe's own files, a sort of wrong captions each",
        kinds=("pairs",),
        options=(
            SchemeOption("images", ".+", "the folder of COCO's val2017, by default images in the folder itself"),
            SchemeOption("sort", "(add|replace|swap)_(att|obj|rel)", "the file that is read, by default all"),
        ),
    ),
    DataScheme(
        name="vl-checklist",
        source="mlcd_eval.data.sources.pair_layouts:VLCheckList",
        form="vl-checklist:DIR[?OPTIONS]",
        help="VL-CheckList: objects, attributes and relations with a wrong text each",
        kinds=("pairs",),
        options=(
            SchemeOption("images", ".+", "the folder that has hake, swig and vg, by default the folder itself"),
            SchemeOption("type", "Attribute|Object|Relation", "the part that is read, by default all"),
        ),
    ),
    DataScheme(
        name="hf-pairs",
        source="mlcd_eval.data.sources.hf_pairs:HuggingFacePairSets",
        form="hf-pairs:ORG/NAME|DIR?images=COLUMNS&texts=COLUMNS[&OPTIONS]",
        help="images and texts to choose from that the library `datasets` reads, such as mteb's copies",
        kinds=("pairs",),
        options=(
            SchemeOption("images", ".+", "the columns of images, separated by commas", required=True),
            SchemeOption("texts", ".+", "the columns of texts, those of the images first", required=True),
            _CONFIG,
            _REVISION,
            *_SPLITS,
        ),
        package="datasets",
        extra="datasets",
        is_slow=True,
    ),
    *CAPTION_ROWS,
    *MOTION_ROWS,
    DataScheme(
        name="hf-vqa",
        source="mlcd_eval.data.sources.hf_questions:HuggingFaceQuestionSets",
        form="hf-vqa:ORG/NAME|DIR[?OPTIONS]",
        help="questions on images that the library `datasets` reads, such as lmms-lab's copies",
        kinds=("docvqa",),
        options=(_CONFIG, _REVISION, *_SPLITS),
        package="datasets",
        extra="datasets",
        is_slow=True,
    ),
    DataScheme(
        name="winogavil",
        source="mlcd_eval.data.sources.winogavil:Associations",
        form="winogavil:FILE.csv[?images=DIR]",
        help="WinoGAViL's table of cues, each with candidate images of which some are associated with it",
        kinds=("associations",),
        options=(SchemeOption("images", ".+", "the folder of the images, by default images or winogavil_images"),),
    ),
    *SEARCH_ROWS,
)

SCHEMES: Registry[DataScheme] = Registry("data scheme", "mlcd_eval.data", {row.name: row for row in ROWS})


def scheme_forms() -> str:
    """Every scheme's form, for messages and help; those of other packages by name alone, which imports nothing."""
    return ", ".join([*(row.form for row in ROWS), *(f"{name}:..." for name in SCHEMES.added)])
