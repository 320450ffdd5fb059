import pytest
import torch

from mlcd_eval.protocols.classification.threads import in_threads, threads_for, workers_for


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


@pytest.mark.parametrize("workers", [1, 3])
def test_independent_problems_keep_their_order_and_share_the_threads(workers):
    seen = []

    def fit(number):
        seen.append(torch.get_num_threads())
        return torch.arange(1.0, number + 1).sum().item()

    before = torch.get_num_threads()
    assert list(in_threads(fit, range(1, 9), workers)) == [n * (n + 1) / 2 for n in range(1, 9)]
    assert set(seen) == ({before} if workers == 1 else {1}) and torch.get_num_threads() == before


def test_a_problem_that_fails_ends_those_that_have_not_begun():
    begun = []

    def fails(number):
        begun.append(number)
        raise ValueError(f"problem {number}")

    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="problem 0"):
        list(in_threads(fails, range(1000), 2))
    assert len(begun) < 1000 and torch.get_num_threads() == before


def test_small_problems_are_solved_beside_each_other_and_large_ones_alone():
    threads = torch.get_num_threads()
    assert [workers_for(1000, "cpu"), workers_for(1 << 25, "cpu"), workers_for(1000, "cuda")] == [threads, 1, 1]
