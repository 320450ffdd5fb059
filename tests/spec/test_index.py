import pytest

from mlcd_eval.errors import ConfigError
from mlcd_eval.spec import DatasetSpec, SuiteSpec, TaskIndex, TaskSpec, read_spec

TASK = "name: knn/x\nversion: 1\nprotocol: knn\ndataset:\n  name: x\n"
SUITE = "name: mine\ndescription: Mine.\ntasks: [knn/x, 'knn/mni*']\n"


def names(index: TaskIndex, *words: str) -> list[str]:
    return [task.name for task in index.select(words)]


@pytest.fixture(scope="module")
def shipped() -> TaskIndex:
    return TaskIndex.load()


def test_a_file_is_a_data_set_by_its_folder_and_a_suite_by_its_tasks(write):
    assert isinstance(read_spec(write(TASK), {}), TaskSpec)
    assert isinstance(read_spec(write(SUITE), {}), SuiteSpec)
    assert isinstance(read_spec(write("name: x\n", "datasets/x.yaml"), {}), DatasetSpec)


@pytest.mark.parametrize("name", ["x", "knn/", "knn/a/b", "knn/../x", "knn/.x", "../knn/x", "knn/a\\b"])
def test_a_name_that_is_no_file_name_is_refused(write, name):
    with pytest.raises(ConfigError, match=r"'name' is .*, expected PROTOCOL/NAME"):
        read_spec(write(TASK.replace("knn/x", name)), {})


def test_a_name_begins_with_its_protocol(write):
    with pytest.raises(ConfigError, match=r"'zeroshot/x' does not begin with the protocol, expected 'knn/\.\.\.'"):
        read_spec(write(TASK.replace("knn/x", "zeroshot/x")), {})


def test_a_group_leaves_out_the_demo(shipped):
    probes = names(shipped, "linear_probe")
    assert "linear_probe/mnist" in probes
    assert "linear_probe/demo_clipart" not in probes
    assert "linear_probe/demo_clipart" in names(shipped, "linear_probe/*")


def test_words_add_up_in_order_without_repetition(shipped):
    assert names(shipped, "knn/mnist", "knn/[mp]*s*", "knn/mnist") == ["knn/mnist", "knn/pets"]
    assert names(shipped, "demo", "zeroshot/demo_clipart", "knn/mnist") == [*names(shipped, "demo"), "knn/mnist"]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("linear_prob", "did you mean 'linear_probe'"),
        ("zeroshot/food10", "did you mean 'zeroshot/food101'"),
        ("mlcd_papr", "did you mean 'mlcd_paper'"),
        ("sugarcrape", "did you mean 'compositionality/sugarcrepe'"),
        ("knn/q*", "expected a group"),
        ("", "expected a group"),
    ],
)
def test_an_unknown_word_names_what_there_is(shipped, word, hint):
    with pytest.raises(ConfigError, match=hint) as caught:
        shipped.select([word])
    assert repr(word) in str(caught.value)


def test_a_file_is_a_word_too(write):
    index = TaskIndex.load()
    assert names(index, str(write(TASK))) == ["knn/x"]
    assert names(index, str(write(SUITE, "suite.yaml"))) == ["knn/x", "knn/mnist"]
    with pytest.raises(ConfigError, match=r"gone\.yaml is missing"):
        index.select(["gone.yaml"])


def test_a_suite_names_its_own_mistake(write):
    index = TaskIndex.load([write(SUITE)])
    with pytest.raises(ConfigError, match="suite 'mine': got 'knn/x'"):
        index.select(["mine"])


def test_two_files_of_one_name_are_refused_and_both_named(write, tmp_path):
    write(TASK, "a/x.yaml")
    write(TASK, "b/x.yml")
    with pytest.raises(ConfigError, match=r"a/x\.yaml and .*b/x\.yml are both called 'knn/x'"):
        TaskIndex.load([tmp_path])
    copy = write(TASK.replace("knn/x", "knn/mnist"), "my_mnist.yaml")
    with pytest.raises(ConfigError, match=r"knn/mnist\.yaml and .*my_mnist\.yaml are both called 'knn/mnist'"):
        TaskIndex.load().select([str(copy)])


def test_a_folder_without_task_files_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no task files"):
        TaskIndex.load([tmp_path])


def test_a_task_names_a_data_set_of_its_own_folder_or_of_ours(write, tmp_path):
    write("name: lions\nkind: classification\nnum_classes: 3\n", "datasets/lions.yaml")
    write("name: knn/lions\nversion: 1\nprotocol: knn\ndataset: lions\n", "a.yaml")  # before datasets/ in the alphabet
    write("name: knn/mine\nversion: 1\nprotocol: knn\ndataset: mnist\n", "b.yaml")
    index = TaskIndex.load([tmp_path])
    assert index.tasks["knn/lions"].dataset == DatasetSpec(name="lions", kind="classification", num_classes=3)
    assert index.tasks["knn/mine"].dataset == index.tasks["linear_probe/mnist"].dataset
    assert index.tasks["knn/mine"].dataset.num_classes == 10


FACTS = DatasetSpec(
    name="lions", kind="classification", hub="org/wds_lions", revision="v2", num_classes=3, sizes={"test": 5}, notes="n"
)


def dataset_of(write, data: str) -> DatasetSpec:
    task = f"name: knn/x\nversion: 1\nprotocol: knn\ndataset: {data}\n"
    spec = read_spec(write(task), {"lions": FACTS})
    assert isinstance(spec, TaskSpec)
    return spec.dataset


def test_a_task_changes_facts_of_the_data_set_that_it_names(write):
    assert dataset_of(write, "lions") == FACTS
    changed = dataset_of(write, "{name: lions, notes: null, sizes: {test: 4}}")
    assert changed == FACTS.model_copy(update={"notes": None, "sizes": {"test": 4}})
    assert dataset_of(write, "{name: tigers}") == DatasetSpec(name="tigers")


def test_a_source_replaces_the_known_one_with_its_revision(write):
    changed = dataset_of(write, "{name: lions, ref: 'imagefolder:photos'}")
    assert (changed.reference(), changed.revision, changed.num_classes) == ("imagefolder:photos", None, 3)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ["lion", r"x\.yaml: 'dataset' is 'lion', expected a name of .* \(did you mean 'lions'\?\)"],
        ["{name: lions, kind: text}", r"x\.yaml: 'dataset\.kind' is 'text', expected 'classification'"],
        ["{name: lions, hubb: a/b}", r"unknown key 'dataset\.hubb', .*did you mean 'hub'"],
        ["{name: x, ref: 'wsd:a'}", r"'dataset\.ref' is 'wsd:a', expected .* scheme 'wsd' \(did you mean 'wds'\?\)"],
        ["{name: x, ref: 'wds:a', hub: a/b}", r"'dataset\.ref' is 'wds:a', expected no ref beside hub"],
        ["{name: x, revision: v1}", r"'dataset\.revision' is 'v1', expected a revision only beside hub or ref"],
        ["{name: x, ref: 'docvqa:a', revision: v1}", r"docvqa:a\?revision=v1 has the option 'revision': expected"],
        ["{name: [lions]}", r"'dataset\.name' is \['lions'\], expected text"],
        ["3", r"'dataset' is 3, expected a mapping"],
    ],
)
def test_a_mistake_about_the_data_is_one_sentence(write, data, problem):
    with pytest.raises(ConfigError, match=problem) as caught:
        dataset_of(write, data)
    assert len(str(caught.value).splitlines()) == 1


def test_a_reference_has_its_revision():
    def reference(**facts) -> str | None:
        return DatasetSpec(name="x", **facts).reference()

    assert reference() is None
    assert reference(hub="o/wds_x") == "wds:https://huggingface.co/datasets/o/wds_x"
    assert reference(hub="o/wds_x", revision="v2") == "wds:https://huggingface.co/datasets/o/wds_x/tree/v2"
    assert reference(ref="hf-vqa:o/x?config=c") == "hf-vqa:o/x?config=c"
    assert reference(ref="hf-vqa:o/x?config=c", revision="v2") == "hf-vqa:o/x?config=c&revision=v2"


def test_a_data_set_file_is_no_word_of_tasks(write):
    with pytest.raises(ConfigError, match="describes a data set, expected a task or suite file"):
        TaskIndex().select([str(write("name: x\n", "datasets/x.yaml"))])
