"""The index of a tar file finds what reading it through finds, whatever its headers."""

import io
import tarfile

import pytest

from mlcd_eval.data.storage.tar import HashingReader, grouped_files
from mlcd_eval.errors import DataError
from mlcd_train.data import tar_index
from mlcd_train.data.tar_index import TarIndex

NAMES = [
    "a/b.jpg",
    "a/b.TXT",
    "x" * 120 + ".jpg",
    "y/" * 70 + "z.png",
    "ü.jpg",
    "ü.json",
    "__index__/k.jpg",
    "only.txt",
]


def write(path, form, names=NAMES):
    names = [name for name in names if form != tarfile.USTAR_FORMAT or len(name) < 120]
    with tarfile.open(path, "w", format=form) as archive:
        for number, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.size = 100 * number
            archive.addfile(info, io.BytesIO(bytes([number]) * info.size))
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    return path


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_it_finds_what_reading_finds(tmp_path, form):
    path = write(tmp_path / "0.tar", form)
    with path.open("rb") as file:
        whole = [(key, files) for key, files in grouped_files(HashingReader(file), "0.tar")]
    images = {key: next(files[s] for s in ("png", "jpg") if s in files) for key, files in whole if key != "only"}
    index = TarIndex(path.open("rb"), path.name)
    assert {row.key: index.read(row.image) for row in index.rows} == images
    texts = {row.key: row.txt and index.read(row.txt) for row in index.rows}
    assert texts == {key: files.get("txt") for key, files in whole if key != "only"}
    assert [row.key for row in index.rows if row.json] == ["ü"]
    index.close()


@pytest.mark.parametrize("cut", [3, 700, 1500, 5000])
def test_a_truncated_file_is_refused(tmp_path, cut):
    path = write(tmp_path / "0.tar", tarfile.USTAR_FORMAT)
    contents = path.read_bytes().rstrip(b"\0")
    path.write_bytes(contents[:-cut])
    with pytest.raises(DataError, match="truncated or not a tar file"):
        TarIndex(path.open("rb"), path.name)


def test_a_name_twice_in_a_sample_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds 'a.jpg' twice in one sample"):
        TarIndex(write(tmp_path / "0.tar", tarfile.USTAR_FORMAT, ["a.jpg", "a.jpg"]).open("rb"), "0.tar")


def test_a_header_with_another_checksum_is_left_to_tarfile(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        member = tarfile.TarInfo("a.jpg")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"abc"))
    header = (tmp_path / "x.tar").read_bytes()[:512]
    name, place = tar_index._plain(header, 1024)
    assert name == "a.jpg" and place == tar_index.Place(1536, 3)
    assert tar_index._plain(header.replace(b"a.jpg", b"b.jpg"), 1024) is None


def test_a_tar_without_its_end_is_refused_at_a_whole_block_too(tmp_path):
    path = write(tmp_path / "0.tar", tarfile.USTAR_FORMAT, ["a.jpg", "b.jpg"])
    path.write_bytes(path.read_bytes()[: 4 * 512])  # two headers, a block of contents, the folder's header
    with pytest.raises(DataError, match=r"0\.tar is truncated or not a tar file: empty header at byte 2048"):
        TarIndex(path.open("rb"), path.name)


def test_a_sparse_file_is_refused_by_name(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("hollow.jpg")
        member.size = 4
        sparse = {"major": "0", "minor": "1", "map": "0,4", "size": str(1 << 40)}
        member.pax_headers = {f"GNU.sparse.{name}": value for name, value in sparse.items()}
        tar.addfile(member, io.BytesIO(b"tiny"))
    with pytest.raises(DataError, match=r"^x\.tar is refused: 'hollow\.jpg' is a sparse file, expected plain files$"):
        TarIndex((tmp_path / "x.tar").open("rb"), "x.tar")
