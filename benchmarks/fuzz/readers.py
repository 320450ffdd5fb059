"""Every reader of files that others may have written, each with a small valid file."""

from collections.abc import Iterator
from pathlib import Path

from captions import caption_readers, segmentation_readers
from data import annotation_readers, data_readers, table_readers
from models import model_readers
from pixels import pixel_readers
from points import point_readers
from reader import Reader
from records import record_readers
from regions import region_readers
from searches import label_readers, search_readers
from training import store_readers, training_readers

GROUPS = (
    data_readers,
    table_readers,
    annotation_readers,
    search_readers,
    caption_readers,
    segmentation_readers,
    region_readers,
    pixel_readers,
    point_readers,
    record_readers,
    training_readers,
    label_readers,
    store_readers,
    model_readers,
)


def readers(folder: Path, word: str = "") -> Iterator[Reader]:
    """The readers of a group, or with a word in their name, each group with its own folder."""
    named = [group for group in GROUPS if group.__name__ == word]
    for group in named or GROUPS:
        group_folder = folder / group.__name__
        group_folder.mkdir()
        yield from (reader for reader in group(group_folder) if named or word in reader.name)
