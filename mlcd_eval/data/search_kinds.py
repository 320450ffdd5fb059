"""The data schemes of instance retrieval, one row each."""

from __future__ import annotations

from mlcd_eval.data.scheme import DataScheme, SchemeOption

SEARCH_ROWS = (
    DataScheme(
        name="revisitop",
        source="mlcd_eval.data.sources.revisitop:RevisitedLandmarks",
        form="revisitop:DIR/gnd_NAME.pkl[?OPTIONS]",
        help="Revisited Oxford and Paris, queries with easy, hard and junk images; the ground truth as pickle or JSON",
        kinds=("instances",),
        options=(
            SchemeOption("images", ".+", "the folder of the images, by default jpg beside the file"),
            SchemeOption("distractors", ".+", "a folder of images that are added to the gallery"),
        ),
    ),
    DataScheme(
        name="gldv2",
        source="mlcd_eval.data.sources.gldv2:Landmarks",
        form="gldv2:DIR[?OPTIONS]",
        help="Google Landmarks v2, retrieval or recognition",
        kinds=("instances",),
        options=(
            SchemeOption("usage", "Private|Public", "which queries, by default those of Private, the test set"),
            SchemeOption("task", "retrieval|recognition", "the index is searched, or train, by default the index"),
        ),
    ),
    DataScheme(
        name="met",
        source="mlcd_eval.data.sources.met:Exhibits",
        form="met:DIR[?OPTIONS]",
        help="the Met data set of exhibits",
        kinds=("instances",),
        options=(
            SchemeOption("queries", "test|val", "which queries, by default test"),
            SchemeOption("database", "mini|full", "which gallery, by default the full one"),
            SchemeOption("images", ".+", "the folder of the images, by default images"),
        ),
    ),
    DataScheme(
        name="inshop",
        source="mlcd_eval.data.sources.inshop:InShop",
        form="inshop:DIR[?images=DIR]",
        help="DeepFashion's In-Shop Clothes Retrieval, splits train, test (its queries) and gallery",
        kinds=("classification",),
        options=(SchemeOption("images", ".+", "the folder of img, by default Img or the folder itself"),),
    ),
    DataScheme(
        name="cub",
        source="mlcd_eval.data.sources.cub:Birds",
        form="cub:DIR",
        help="CUB-200-2011, whose test split is the second half of the classes, as in metric learning",
        kinds=("classification",),
    ),
    DataScheme(
        name="views",
        source="mlcd_eval.data.sources.views:PictureViews",
        form="views:FILE.views.json",
        help="altered views of a webdataset's pictures, a class for each picture",
        kinds=("classification",),
    ),
    DataScheme(
        name="scene-views",
        source="mlcd_eval.data.sources.scene_views:SceneObjects",
        form="scene-views:FILE.scene_views.json",
        help="objects of rendered scenes, a class for each, cut out of every view of its scene",
        kinds=("classification",),
    ),
)
