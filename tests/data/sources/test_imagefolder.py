import warnings

import pytest
from opened import samples

from mlcd_eval.data import class_names, open_dataset
from mlcd_eval.data.storage.images import decode
from mlcd_eval.errors import ConfigError, DataError


@pytest.fixture
def folder(tmp_path, make):
    root = tmp_path / "flowers"
    for number, name in enumerate(
        ["train/rose/10.png", "train/rose/9.PNG", "train/rose/more/1.jpg", "train/ash_tree/a.webp", "test/rose/x.png"]
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make.image((number, 0, 0)))
    (root / "train" / "rose" / "notes.txt").write_text("no image")
    (root / "train" / ".cache").mkdir()
    return root


def test_classes_and_order(folder):
    dataset = open_dataset(f"imagefolder:{folder}")
    assert (dataset.name, dataset.kind, dataset.splits) == ("flowers", "classification", ("train", "test"))
    assert dataset.class_names == ("ash tree", "rose")
    read = samples(dataset, "train")
    assert [(sample.key, sample.label) for sample in read] == [
        ("ash_tree/a.webp", 0),
        ("rose/10.png", 1),
        ("rose/9.PNG", 1),
        ("rose/more/1.jpg", 1),
    ]
    assert read[0].image == folder / "train" / "ash_tree" / "a.webp"
    assert [(sample.key, sample.label) for sample in samples(dataset, "test")] == [("rose/x.png", 1)]


def test_val_is_scored_where_there_is_no_test(folder):
    """ImageNet's layout."""
    (folder / "test").rename(folder / "val")
    dataset = open_dataset(f"imagefolder:{folder}")
    assert dataset.splits == ("train", "test")
    assert [sample.key for sample in samples(dataset, "test")] == ["rose/x.png"]
    (folder / "test" / "rose").mkdir(parents=True)
    assert open_dataset(f"imagefolder:{folder}").splits == ("train", "val", "test")


def test_same_as_torchvision(folder):
    torchvision = pytest.importorskip("torchvision.datasets")
    oracle = torchvision.ImageFolder(folder / "train", allow_empty=True)
    dataset = open_dataset(f"imagefolder:{folder}")
    ours = [(str(sample.image), sample.label) for sample in samples(dataset, "train")]
    hidden = oracle.class_to_idx[".cache"]  # a class to torchvision; the only difference
    assert hidden == 0
    assert ours == [(path, label - 1) for path, label in oracle.samples]


def test_no_split_folders(folder):
    dataset = open_dataset(f"imagefolder:{folder}/train")
    assert (dataset.name, dataset.splits, dataset.class_names) == ("train", ("test",), ("ash tree", "rose"))
    assert len(samples(dataset, "test")) == 4


def test_class_names_and_templates_from_files(folder):
    assert open_dataset(f"imagefolder:{folder}").templates is None
    (folder / "zeroshot_classification_templates.txt").write_text("a photo of a {c}.\n")
    (folder / "classnames.txt").write_text("Fraxinus\nRosa\n")
    dataset = open_dataset(f"imagefolder:{folder}")
    assert (dataset.class_names, dataset.templates) == (("Fraxinus", "Rosa"), ("a photo of a {c}.",))
    (folder / "classnames.txt").write_text("Rosa\n")
    dataset = open_dataset(f"imagefolder:{folder}")  # zero-shot alone needs a name for each class, and refuses
    assert (dataset.class_names, dataset.num_classes) == (("Rosa",), 2)
    (folder / "zeroshot_classification_templates.txt").write_text("a photo\n")
    (folder / "classnames.txt").unlink()
    with pytest.raises(DataError, match=r"the template 'a photo', expected \{c\}"):
        open_dataset(f"imagefolder:{folder}")


def write(root, *files):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def test_numeric_folders_are_in_numeric_order(tmp_path):
    root = write(tmp_path / "digits", *(f"test/{number}/a.png" for number in range(12)))
    (root / "classnames.txt").write_text(
        "zero one two three four five six seven eight nine ten eleven".replace(" ", "\n")
    )
    dataset = open_dataset(f"imagefolder:{root}")
    named = {sample.key: dataset.class_names[sample.label] for sample in samples(dataset, "test")}
    assert (named["2/a.png"], named["10/a.png"]) == ("two", "ten")
    write(root, "test/x/a.png")
    (root / "classnames.txt").unlink()
    assert open_dataset(f"imagefolder:{root}").class_names[:4] == ("0", "1", "10", "11")  # not all are numbers


def test_wordnet_ids_have_imagenets_names(tmp_path):
    root = write(tmp_path / "few", *(f"val/{name}/a.png" for name in ("n01443537", "n01440764", "n09999999")))
    assert open_dataset(f"imagefolder:{root}").class_names == ("tench", "goldfish", "n09999999")


def test_the_wordnet_ids_are_in_the_order_of_imagenets_classes():
    timm_data = pytest.importorskip("timm.data")
    info = timm_data.ImageNetInfo()
    assert class_names.WORDNET_IDS.read_text().split() == [info.index_to_label_name(index) for index in range(1000)]


def test_the_scored_folder_may_have_any_name(folder, make):
    write(folder, "validation/rose/v.png")
    assert open_dataset(f"imagefolder:{folder}").splits == ("train", "test")
    dataset = open_dataset(f"imagefolder:{folder}?split=validation")
    assert [sample.key for sample in samples(dataset, "test")] == ["rose/v.png"]
    assert dataset.splits == ("train", "test")
    with pytest.raises(
        ConfigError, match=r"no folder 'valid' for \?split=: got test, train, validation .*'validation'"
    ):
        open_dataset(f"imagefolder:{folder}?split=valid")


def test_a_share_of_train_is_held_out(tmp_path):
    root = write(tmp_path / "all", *(f"{c}/{number:02d}.png" for c in "ab" for number in range(20)))
    dataset = open_dataset(f"imagefolder:{root}?val=0.1")
    assert dataset.splits == ("train", "test")
    train, held_out = ([sample.key for sample in samples(dataset, split)] for split in ("train", "test"))
    assert (len(train), len(held_out)) == (36, 4)
    assert sorted([*train, *held_out]) == [f"{c}/{number:02d}.png" for c in "ab" for number in range(20)]
    assert {key[0] for key in held_out} == {"a", "b"}
    again = open_dataset(f"imagefolder:{root}?val=0.1")
    assert [sample.key for sample in samples(again, "test")] == held_out
    write(root, *(f"../split/train/{c}/{number}.png" for c in "ab" for number in range(10)), "../split/test/a/x.png")
    dataset = open_dataset(f"imagefolder:{tmp_path}/split?val=0.2")
    assert dataset.splits == ("train", "val", "test")
    assert [len(samples(dataset, split)) for split in dataset.splits] == [16, 4, 1]
    for wrong in ("0", "1", "1.5", "0.0", "much"):
        with pytest.raises(ConfigError, match=f"has val={wrong}: expected"):
            open_dataset(f"imagefolder:{root}?val={wrong}")
    write(tmp_path / "split", "val/a/y.png")
    with pytest.raises(ConfigError, match="has a folder val: expected no option val"):
        open_dataset(f"imagefolder:{tmp_path}/split?val=0.2")


def test_no_folder_to_hold_a_share_out_of(folder):
    (folder / "train").rename(folder.parent / "elsewhere")
    with pytest.raises(ConfigError, match=r"has no folder train to hold out a share of: got test$"):
        open_dataset(f"imagefolder:{folder}?val=0.5")


def test_a_folder_that_links_to_itself(folder):
    (folder / "train" / "rose" / "again").symlink_to(folder / "train" / "rose")
    with pytest.raises(DataError, match=r"rose/again links to .*/train/rose, a folder above it"):
        samples(open_dataset(f"imagefolder:{folder}"), "train")


def test_linked_folders_that_lead_to_each_other(tmp_path):
    root = write(tmp_path / "data", "x/a/1.png", "x/b/2.png")
    (root / "x" / "a" / "to_b").symlink_to(root / "x" / "b")
    assert len(samples(open_dataset(f"imagefolder:{root}"), "test")) == 3  # a link that ends is followed
    (root / "x" / "b" / "to_a").symlink_to(root / "x" / "a")
    with pytest.raises(DataError, match="a folder above it"):
        samples(open_dataset(f"imagefolder:{root}"), "test")


def test_other_files_are_reported(folder, make):
    train = folder / "train" / "rose"
    for name in ("b.jp2", "c.jfif", "d.pbm"):
        (train / name).write_bytes(make.image(kind={"p": "JPEG2000", "f": "JPEG", "b": "PPM"}[name[3]]))
    for name in ("z.heic", "README", ".hidden.xyz", "Thumbs.db", "labels.csv"):
        (train / name).touch()
    dataset = open_dataset(f"imagefolder:{folder}")
    with pytest.warns(UserWarning, match="2 files of .*train are left out, first rose/README: got no suffix"):
        read = samples(dataset, "train")
    images = [sample for sample in read if sample.key[5:] in ("b.jp2", "c.jfif", "d.pbm")]
    assert [decode(sample.image, sample.key).size for sample in images] == [(5, 4)] * 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples(dataset, "train")  # warned of once
        samples(dataset, "test")


def test_fingerprint_follows_contents_names_and_labels(folder, tmp_path, make):
    def scan(split="train"):
        return open_dataset(f"imagefolder:{folder}", cache=tmp_path / "cache").split(split).scan()

    first = scan()
    assert first.num_samples == 4
    assert scan() == first
    path = folder / "train" / "rose" / "9.PNG"
    contents = path.read_bytes()
    path.write_bytes(make.image((99, 0, 0)))
    assert scan() != first
    path.write_bytes(contents)
    assert scan() == first  # the contents count, not the time
    renamed = path.rename(path.with_name("8.png"))
    assert scan() != first
    renamed.rename(path)
    test = scan("test")
    (folder / "train" / "aloe").mkdir()  # rose becomes class 2
    assert scan("test") != test


def test_shards_are_ranges_of_files(tmp_path):
    (tmp_path / "a").mkdir()
    for number in range(1100):
        (tmp_path / "a" / f"{number:04d}.png").touch()
    split = open_dataset(f"imagefolder:{tmp_path}").split("test")
    assert [shard.name for shard in split.shards] == ["test/0-1023", "test/1024-1099"]
    assert [shard.scan().num_samples for shard in split.shards] == [1024, 76]
    assert [sample.key for sample in split.shards[1].samples()][:2] == ["a/1024.png", "a/1025.png"]


def test_class_that_train_does_not_have(folder):
    (folder / "test" / "rosa").mkdir()
    with pytest.raises(DataError, match=r"test/rosa is a class that train does not have: .*did you mean 'rose'"):
        open_dataset(f"imagefolder:{folder}")


def test_bad_folders(folder, tmp_path):
    with pytest.raises(DataError, match=r"there is no dataset folder .*/flower \(did you mean 'flowers'\?\)"):
        open_dataset(f"imagefolder:{tmp_path}/flower")
    with pytest.raises(DataError, match="more has no class folders: expected one folder of images per class"):
        open_dataset(f"imagefolder:{folder}/train/rose/more")
    with pytest.raises(DataError, match="flowers has no split 'val': got one of train, test"):
        open_dataset(f"imagefolder:{folder}").split("val")
    (folder / "test" / "rose" / "x.png").unlink()
    with pytest.raises(DataError, match="split 'test' of flowers is empty"):
        open_dataset(f"imagefolder:{folder}").split("test").scan()


def test_image_that_vanished(folder, tmp_path):
    for cache in (None, tmp_path / "cache"):
        split = open_dataset(f"imagefolder:{folder}", cache=cache).split("train")
        (folder / "train" / "rose" / "10.png").rename(folder / "gone")
        with pytest.raises(DataError, match=r"the image of sample 'rose/10.png' is missing: there is no file .*10.png"):
            split.scan()
        (folder / "gone").rename(folder / "train" / "rose" / "10.png")
