"""The suites that are shipped: how many tasks each has, and which data is scored."""

from mlcd_eval.spec import TaskIndex

SIZES = {"datacomp38": 38, "vtab": 19, "vtab1k": 19, "elevater20": 20, "mieb_lite": 20}


def test_suites_have_as_many_tasks_as_their_names_say():
    index = TaskIndex.load()
    for name, size in SIZES.items():
        tasks = index.select([name])
        assert len(tasks) == len(index.suites[name].tasks) == size
        assert (index.suites[name].average is None) == (name == "mieb_lite")


def test_datacomps_tasks_score_data_of_its_sizes():
    """Sizes of its tasklist.yml (MIT), but of retrieval those of the test splits."""
    sizes = {
        task.name.partition("/")[2]: task.dataset.expected_size("test")
        for task in TaskIndex.load().select(["datacomp38"])
    }
    assert sizes == {
        "vtab_caltech101": 6085, "cifar10": 10000, "cifar100": 10000, "vtab_clevr_count": 15000,
        "vtab_clevr_distance": 15000, "country211": 21100, "dtd": 1880, "vtab_eurosat": 5400, "aircraft": 3333,
        "food101": 25250, "gtsrb": 12630, "imagenet": 50000, "datacomp_imagenet_sketch": 50889,
        "datacomp_imagenetv2": 10000, "datacomp_imagenet_a": 7500, "imagenet_o": 2000, "imagenet_r": 30000,
        "kitti": 711, "mnist": 10000, "datacomp_objectnet": 18574, "flowers": 6149, "pets": 3669,
        "voc2007_single": 14976, "pcam": 32768, "sst2": 1821, "vtab_resisc45": 6300, "cars": 8041, "stl10": 8000,
        "datacomp_sun397": 108754, "vtab_svhn": 26032, "datacomp_flickr30k": 1000, "datacomp_mscoco_captions": 5000,
        "winogavil": 3563, "iwildcam": 42791, "camelyon17": 85054, "fmow": 22108, "dollar_street": 3503, "geode": 12488,
    }  # fmt: skip


def test_vtab_1k_is_vtab_on_a_thousand_images():
    index = TaskIndex.load()
    full, few = index.select(["vtab"]), index.select(["vtab1k"])
    assert [task.dataset for task in full] == [task.dataset for task in few]
    assert {task.settings["examples"] for task in few} == {"vtab1k"}
    assert {task.settings["metric"] for task in [*full, *few]} == {"acc1"}
