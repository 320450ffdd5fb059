import pytest
import torch

from mlcd_eval.protocols.classification.threads import threads_for


def test_little_work_takes_one_thread_and_gives_the_others_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threads_for(1000):
            assert torch.get_num_threads() == 1
        with threads_for(10**12):
            assert torch.get_num_threads() == 2
        with pytest.raises(ZeroDivisionError), threads_for(1000):
            raise ZeroDivisionError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
