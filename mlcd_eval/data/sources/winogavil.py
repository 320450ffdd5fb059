"""WinoGAViL's files: a table of cues with their candidate and associated images, and a folder of images."""

from __future__ import annotations

from pathlib import Path

from mlcd_eval.data.annotations import Association
from mlcd_eval.data.base import Dataset, Kind, Sample
from mlcd_eval.data.scheme import DataFacts, Options, Source, names_of
from mlcd_eval.data.sources.csv_files import CsvTable
from mlcd_eval.data.sources.listed import AnnotatedImages
from mlcd_eval.data.sources.table import existing_file
from mlcd_eval.data.sources.table_columns import check_below
from mlcd_eval.data.storage.json_file import validated_json
from mlcd_eval.data.storage.table_index import Row
from mlcd_eval.errors import DataError
from mlcd_eval.support.documents import parse_json

FILE = "winogavil_dataset.csv"
FOLDERS = ("images", "winogavil_images")
"""Where the images are beside the table: as its own download calls the folder, and as the copy on the hub."""
COLUMNS = ("cue", "candidates", "associations")


class Associations(Source):
    """The scheme `winogavil`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The cues of one table."""
        path = existing_file(address)
        beside = [folder for folder in (path.parent / each for each in FOLDERS) if folder.is_dir()]
        folder = Path(options["images"]).expanduser() if "images" in options else (*beside, path.parent / FOLDERS[0])[0]
        return WinoGAViL(path, folder, name, cache)

    def default_name(self, address: str) -> str:
        """The file's name without its suffix."""
        return Path(address).stem

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """NAME/winogavil_dataset.csv."""
        files = (root / name / FILE for name in names_of(facts))
        return next((str(file) for file in files if file.is_file()), None)


class WinoGAViL(AnnotatedImages[Association]):
    """The split test: every cue of the table. An image is called NAME.jpg after its candidate's name, which is a word.

    Raises DataError for a table without the columns or without a row, for a cell that holds no list of names, and for
    associations that are not among the candidates.
    """

    kind: Kind = "associations"

    def __init__(self, path: Path, folder: Path, name: str, cache: Path | None) -> None:
        table = CsvTable(path, ",", "utf-8-sig")
        table.require(COLUMNS)
        items = [_item(row, number, path, folder) for number, row in enumerate(table.read(list(COLUMNS)), 1)]
        if not items:
            raise DataError(f"{path} has no cues: got its columns only, expected at least one row")
        keys = dict.fromkeys(key for item in items for key in item.images)
        super().__init__(name, {"test": [Sample(key, folder / key) for key in keys]}, {"test": items}, cache)


def _item(row: Row, number: int, path: Path, folder: Path) -> Association:
    where = f"row {number} of {path}"
    cue = (row["cue"] or "").strip()
    candidates, associations = (_names(row[column], column, where) for column in COLUMNS[1:])
    others = [name for name in associations if name not in candidates]
    if not cue or others or not 0 < len(set(associations)) < len(set(candidates)) == len(candidates):
        raise DataError(
            f"{where} is no choice: got the cue {cue[:40]!r}, {len(associations)} associations and {len(candidates)} "
            f"candidates{f' without {others[0]!r}' if others else ''}, expected a cue and some of several candidates"
        )
    images = tuple(f"{name}.jpg" for name in candidates)
    for image in images:
        check_below(folder, image, where)
    return Association(str(row.get("ID") or number), cue, images, tuple(name in associations for name in candidates))


def _names(cell: str | None, column: str, where: str) -> list[str]:
    try:
        value = parse_json(cell or "")
    except ValueError as error:
        raise DataError(f"{column} in {where} is no JSON list of names: {error}") from error
    names: list[str] = validated_json(list[str], value, f"{column} in {where}")
    return names
