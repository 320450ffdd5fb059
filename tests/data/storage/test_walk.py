"""Files below a folder, which of them are images, and where folders are."""

import warnings

import pytest

from mlcd_eval.data.storage.location import Digest, LocalFolder, decode_text, hub_address, is_web_address
from mlcd_eval.data.storage.walk import files_below, images_of
from mlcd_eval.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for name in ("b/2.png", "b/10.png", "a/c/x.JPG", "z.jpeg", "a.md"):
        (tmp_path / "top" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "top" / name).touch()
    return tmp_path / "top"


def test_files_come_folder_by_folder_through_links(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "y.png").touch()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    names = [str(path.relative_to(folder)) for path in files_below(folder)]
    assert names == ["a.md", "z.jpeg", "a/c/x.JPG", "b/10.png", "b/2.png", "linked/y.png"]


@pytest.mark.parametrize("target", ["..", "../..", "."])
def test_a_link_to_a_folder_above_is_refused(folder, target):
    (folder / "a" / "c" / "loop").symlink_to(target)
    with pytest.raises(DataError, match=r"/a/c/loop links to .*, a folder above it: expected folders that come to an"):
        list(files_below(folder))


def test_a_link_to_a_folder_beside_is_followed_once(folder):
    (folder / "b" / "beside").symlink_to(folder / "a")
    assert len(list(files_below(folder))) == 6


def test_images_by_suffix_and_a_warning_for_what_is_neither_image_nor_note(folder):
    (folder / ".hidden").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = images_of(folder, list(files_below(folder)))
    assert [path.name for path in images] == ["z.jpeg", "x.JPG", "10.png", "2.png"]
    (folder / "b" / "film.mp4").touch()
    (folder / "b" / "noend").touch()
    with pytest.warns(UserWarning, match=r"^2 files of .*top are left out, first b/film\.mp4: got \.mp4, expected one"):
        assert len(images_of(folder, list(files_below(folder)))) == 4
    (folder / "b" / "film.mp4").unlink()
    with pytest.warns(UserWarning, match="first b/noend: got no suffix"):
        images_of(folder, list(files_below(folder)))


def test_a_local_folder(folder):
    place = LocalFolder(folder)
    assert (str(place), place.path("a.md"), place.folders()) == (str(folder), f"{folder}/a.md", ["a", "b"])
    (folder / "a.md").write_bytes(b"\xef\xbb\xbfwords")
    assert place.read_text("a.md") == "words" and place.read_text("b") is place.read_text("no") is None
    assert place.digest("a.md") is None and place.open("a.md").read() == b"\xef\xbb\xbfwords"
    with pytest.raises(DataError, match=r"/no cannot be read: No such file or directory$"):
        place.open("no")
    with pytest.raises(DataError, match=r"there is no dataset folder .*/tpo .did you mean 'top'"):
        LocalFolder(folder.with_name("tpo"))
    with pytest.raises(DataError, match=r"there is no dataset folder .*/no/x$"):
        LocalFolder(folder / "no" / "x")
    assert Digest("a", is_sha256=True) == ("a", True)


def test_addresses_and_text():
    assert is_web_address("http://x") and is_web_address("https://x") and not is_web_address("httpx/y")
    assert hub_address("org/name") == "https://huggingface.co/datasets/org/name"
    assert hub_address("org/name", "abc") == "https://huggingface.co/datasets/org/name/tree/abc"
    with pytest.raises(DataError, match=r"^p is not UTF-8 text: "):
        decode_text(b"\xff", "p")
