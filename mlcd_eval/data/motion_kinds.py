"""The data schemes of points that two images share and of clips, one row each."""

from __future__ import annotations

from mlcd_eval.data.scheme import DataScheme, SchemeOption

MOTION_ROWS = (
    DataScheme(
        name="keypoints",
        source="mlcd_eval.data.sources.keypoints:KeypointFiles",
        form="keypoints:DIR[?layout=LAYOUT]",
        help="points that are in two images, as SPair-71k comes, and the bundled scenes",
        kinds=("keypoints",),
        options=(SchemeOption("layout", "scenes|spair", "the layout, by default the one that is recognised"),),
    ),
    DataScheme(
        name="video",
        source="mlcd_eval.data.sources.video:VideoFiles",
        form="video:DIR[?layout=LAYOUT]",
        help="clips with a mask of numbered objects for each frame, as DAVIS 2017 comes, and the bundled clips",
        kinds=("video",),
        options=(SchemeOption("layout", "scenes|davis", "the layout, by default the one that is recognised"),),
    ),
)
