"""A function on two ranks, forked from a process that has imported PyTorch and the trainer, once per session."""

import torch.multiprocessing as mp


def on_two_ranks(function, port, *arguments):
    """Call function(rank, port, *arguments, results) in two processes; what they put into `results`, in any order."""
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["mlcd_train.stages"])
    results = context.Queue()
    processes = mp.start_processes(
        function, (port, *arguments, results), nprocs=2, join=False, start_method="forkserver"
    )
    outcomes = [results.get(timeout=120) for _ in range(2)]
    processes.join()
    return outcomes
