import gzip
import io
import pickle
import tarfile

import pytest
import webdataset

from mlcd_eval.data.storage.tar import HashingReader, read_samples
from mlcd_eval.errors import DataError


def read(contents, kind="classification"):
    return list(read_samples(HashingReader(io.BytesIO(contents)), "0.tar", kind))


def test_groups_as_webdataset_does(make, tmp_path):
    image = make.image()
    files = [
        ("__meta__/a.txt", b"skipped"),
        ("README", b"no suffix: skipped"),
        (".hidden", b"no key: skipped"),
        ("a.PNG", image),
        ("a.cls", b"1"),
        ("dir.with.dots/b.seg.png", b"another suffix: seg.png"),
        ("dir.with.dots/b.jpg", image),
        ("dir.with.dots/b.webp", make.image((9, 9, 9))),
        ("dir.with.dots/b.cls", b" 2\n"),
        ("other/b.cls", b"3"),
        ("other/b.jpeg", image),
        ("../../../etc/c.jpg", image),
        ("../../../etc/c.cls", b"4"),
        ("/absolute/ü.jpg", image),
        ("/absolute/ü.cls", b"5"),
        ("x" * 300 + ".jpg", image),
        ("x" * 300 + ".cls", b"6"),
        ("a.jpg", image),
        ("a.cls", b"7"),
    ]
    path = tmp_path / "0.tar"
    path.write_bytes(make.tar(files))
    oracle = webdataset.WebDataset(str(path), shardshuffle=False).to_tuple("__key__", "webp;png;jpg;jpeg", "cls")
    expected = [(key, image, int(label)) for key, image, label in oracle]
    assert [(sample.key, sample.image, sample.label) for sample in read(path.read_bytes())] == expected
    assert [label for _, _, label in expected] == [1, 2, 3, 4, 5, 6, 7]
    assert expected[1][1] == make.image((9, 9, 9))  # webp comes first
    assert sorted(tmp_path.iterdir()) == [path]  # nothing was extracted


def test_links_and_folders_are_skipped(make):
    stream = io.BytesIO(make.tar(make.classification(1, 1)))
    with tarfile.open(fileobj=stream, mode="a") as archive:
        link = tarfile.TarInfo("evil.cls")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        folder = tarfile.TarInfo("folder.png")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    assert [sample.key for sample in read(stream.getvalue())] == ["s000"]


def test_captions(make):
    contents = make.tar([("a.webp", make.image()), ("a.txt", "one\r\n\n  \ntwö words\n".encode())])
    (sample,) = read(contents, "retrieval")
    assert sample.texts == ("one", "twö words")
    assert sample.label is None
    assert pickle.loads(pickle.dumps(sample)) == sample


def test_multilabel(make):
    files = [("a.png", make.image()), ("a.npy", make.npy([0, 1, 1])), ("b.png", make.image())]
    good = make.tar([*files, ("b.npy", make.npy([0, 0, 0]))])
    assert [sample.label for sample in read(good, "multilabel")] == [(0, 1, 1), (0, 0, 0)]
    ragged = make.tar([*files, ("b.npy", make.npy([0, 0]))])
    with pytest.raises(DataError, match=r"sample 'b' of 0.tar has the wrong shape: got \(2,\), expected \(3,\)"):
        read(ragged, "multilabel")


@pytest.mark.parametrize("kind", ["classification", "multilabel", "retrieval"])
def test_sample_without_image_or_label(make, kind):
    with pytest.raises(
        DataError, match=r"sample 'b' of 0.tar has no image: got \['cls', 'npy', 'txt'\], expected one of"
    ):
        read(make.tar([("b.cls", b"0"), ("b.npy", make.npy([1])), ("b.txt", b"x")]), kind)
    suffix = {"classification": "cls", "multilabel": "npy", "retrieval": "txt"}[kind]
    with pytest.raises(
        DataError, match=rf"'b' of 0.tar has no label: got \['jpg'\], expected .{suffix} in a {kind} dataset"
    ):
        read(make.tar([("b.jpg", b"x")]), kind)


def test_samples_that_were_not_written_together(make):
    shuffled = [("a.png", b"x"), ("b.png", b"x"), ("a.cls", b"0"), ("b.cls", b"0")]
    with pytest.raises(DataError, match=r"sample 'a' of 0.tar has no label"):
        read(make.tar(shuffled))
    with pytest.raises(DataError, match=r"0.tar holds 'a.CLS' twice in one sample"):
        read(make.tar([("a.png", b"x"), ("a.cls", b"0"), ("a.CLS", b"1")]))


def test_bad_captions(make):
    with pytest.raises(DataError, match=r"sample 'a' of 0.tar has no caption: got only blank lines"):
        read(make.tar([("a.png", b"x"), ("a.txt", b"\n \n")]), "retrieval")
    with pytest.raises(DataError, match=r"the captions of sample 'a' of 0.tar are not UTF-8"):
        read(make.tar([("a.png", b"x"), ("a.txt", b"\xff")]), "retrieval")


def test_every_cut_is_seen(make):
    """A tar cut at any byte before its closing block is damaged, also between two members."""
    contents = make.tar(make.classification(2, 2))
    end = len(contents.rstrip(b"\0"))  # inside the last label's block
    end += -end % 512
    assert len(read(contents[: end + 512])) == 2
    for size in [*range(0, end + 1, 512), *range(1, end, 173)]:
        with pytest.raises(DataError, match=r"0.tar is truncated or not a tar file: "):
            read(contents[:size])


def test_damaged_header_is_seen(make):
    contents = bytearray(make.tar(make.classification(2, 2)))
    second = contents.index(b"s001.png")
    contents[second] ^= 1
    with pytest.raises(DataError, match=rf"truncated or not a tar file: bad checksum at byte {second}"):
        read(bytes(contents))
    with pytest.raises(DataError, match=r"0.tar is truncated or not a tar file"):
        read(b"<html>404</html>" * 100)


def test_empty_tar_has_no_samples(make):
    assert read(make.tar([])) == []


def test_archives_that_inflate_are_refused(make):
    """A sparse member's holes would be read as zeros, here as a terabyte; compressed archives are not opened."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a.png")
        member.size = 1
        member.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 40)}
        archive.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(DataError, match=r"0.tar is refused: 'a.png' is a sparse file, .* 1,099,511,627,776 bytes"):
        read(stream.getvalue())
    with pytest.raises(DataError, match=r"0.tar is truncated or not a tar file"):
        read(gzip.compress(make.tar(make.classification(2, 2))))


@pytest.mark.parametrize(
    "headers",
    [
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" * 14, "GNU.sparse.name": "b.png"},
        {"GNU.sparse.map": "0,x,1"},
        {"size": "-512"},
    ],
)
def test_a_damaged_extended_header_is_named(make, headers):
    stream = io.BytesIO(make.tar(make.classification(1, 1)))
    with tarfile.open(fileobj=stream, mode="a", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("b.png")
        member.size, member.pax_headers = 3, headers
        archive.addfile(member, io.BytesIO(b"abc"))
    with pytest.raises(DataError, match=r"^0\.tar is (truncated or not a tar file|refused): "):
        read(stream.getvalue())
