"""The pretend device itself: it computes, and refuses what CUDA refuses."""

import gc

import pytest
import torch

from pretend_gpu.device import PretendCuda


@pytest.mark.parametrize(
    "mistake",
    [
        lambda x: x + torch.ones(3),
        lambda x: x.numpy(),
        lambda x: torch.ones(3)[x.long()],
        lambda x: torch.cat([x, torch.ones(1)]),
        lambda x: torch.zeros(3).index_add_(0, torch.arange(3), x),
        lambda x: x.pin_memory(),
    ],
)
def test_mistakes_raise_as_on_a_gpu(gpu, mistake):
    with pytest.raises((RuntimeError, TypeError), match=r"same device|Tensor\.cpu|indices should be|cannot pin"):
        mistake(torch.ones(3, device="cuda"))


def test_training_gives_the_host_s_numbers():
    def losses(device):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3), torch.nn.GELU(), torch.nn.Flatten(), torch.nn.LazyLinear(2)
        )
        x, values = torch.linspace(-1, 1, 5 * 3 * 36).reshape(5, 3, 6, 6), []
        model(x)
        model.to(device)
        optimizer = torch.optim.AdamW(model.parameters())
        for _ in range(4):
            loss = model(x.to(device)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            values.append(loss.item())
        return values

    on_host = losses("cpu")
    with PretendCuda()() as ledger:
        assert losses("cuda") == on_host
        gc.collect()
        assert ledger.live == 0 < ledger.peak
    assert ledger.total("waits", "_local_scalar_dense") == 4
    assert ledger.total("repeated") == 0  # parameters and batches are too small to be compared


def test_memory_runs_out_and_comes_back():
    with PretendCuda(memory=1 << 20)():
        kept = torch.zeros(200_000, device="cuda")
        with pytest.raises(torch.OutOfMemoryError):
            torch.zeros(200_000, device="cuda")
        del kept
        assert torch.zeros(200_000, device="cuda").sum().item() == 0


def test_fewer_bits_where_the_settings_allow_them():
    from mlcd_eval.support.arithmetic import exact_fp32

    torch.manual_seed(0)
    x, exact = torch.randn(40, 64), None
    exact = x @ x.T
    with PretendCuda(tf32=True)():
        assert torch.equal((x.cuda() @ x.cuda().T).cpu(), exact)
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        try:
            error = ((x.cuda() @ x.cuda().T).cpu() - exact).abs().max()
            assert 1e-4 < error < 0.1
            with exact_fp32():
                assert torch.equal((x.cuda() @ x.cuda().T).cpu(), exact)
        finally:
            torch.backends.cuda.matmul.fp32_precision = "none"


def test_uploads_of_the_same_bytes_are_noticed(gpu):
    x = torch.randn(100, 100)
    kept = [x.cuda(), x.cuda(), (x + 1).cuda()]
    assert len(kept) == 3 and gpu.total("uploaded") == 3 * 40_000 and gpu.total("repeated") == 40_000
