import pytest
from compared_records import right_or_wrong, write_accuracy


@pytest.fixture
def three_tasks(tmp_path):
    write_accuracy(tmp_path, "zeroshot/won", *right_or_wrong(2, 20))
    write_accuracy(tmp_path, "zeroshot/tied", *right_or_wrong(3, 9))
    write_accuracy(tmp_path, "knn/lost", *right_or_wrong(30, 1), name="knn_acc1@20")
    return tmp_path
