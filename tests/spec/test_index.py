import pytest

from mlcd_eval.errors import ConfigError
from mlcd_eval.spec import SuiteSpec, TaskIndex, TaskSpec, read_spec

TASK = "name: knn/x\nversion: 1\nprotocol: knn\ndataset:\n  name: x\n"
SUITE = "name: mine\ndescription: Mine.\ntasks: [knn/x, 'knn/mni*']\n"


def names(index: TaskIndex, *words: str) -> list[str]:
    return [task.name for task in index.select(words)]


@pytest.fixture(scope="module")
def shipped() -> TaskIndex:
    return TaskIndex.load()


def test_a_file_with_tasks_is_a_suite(write):
    assert isinstance(read_spec(write(TASK)), TaskSpec)
    assert isinstance(read_spec(write(SUITE)), SuiteSpec)


@pytest.mark.parametrize("name", ["x", "knn/", "knn/a/b", "knn/../x", "knn/.x", "../knn/x", "knn/a\\b"])
def test_a_name_that_is_no_file_name_is_refused(write, name):
    with pytest.raises(ConfigError, match=r"'name' is .*, expected PROTOCOL/NAME"):
        read_spec(write(TASK.replace("knn/x", name)))


def test_a_name_begins_with_its_protocol(write):
    with pytest.raises(ConfigError, match=r"'zeroshot/x' does not begin with the protocol, expected 'knn/\.\.\.'"):
        read_spec(write(TASK.replace("knn/x", "zeroshot/x")))


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
