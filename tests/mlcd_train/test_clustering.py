"""Spherical k-means against a slow transcription, its laws, and two processes against one."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from two_ranks import on_two_ranks

from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.support.determinism import deterministic
from mlcd_train import clustering, search
from mlcd_train.clustering import check_start, spherical_kmeans


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def blobs(per=40, k=6, dim=16, noise=0.1, seed=0):
    """Rows around k orthogonal directions, of different lengths."""
    generator = rng(seed)
    directions = torch.linalg.qr(torch.randn(dim, dim, generator=generator)).Q[:k]
    rows = directions.repeat(per, 1) + noise * torch.randn(per * k, dim, generator=generator)
    return rows * (0.5 + torch.rand(len(rows), 1, generator=generator)), torch.arange(k).repeat(per)


def slow_lloyd(features, centres, iterations):
    x = normalize(features.double(), dim=1)
    for _ in range(iterations):
        assignment = (x @ centres.T).argmax(1)
        for c in range(len(centres)):
            if (assignment == c).any():
                centres[c] = normalize(x[assignment == c].sum(0), dim=0)
    return centres, (x @ centres.T).argmax(1)


@pytest.mark.parametrize("options", [{"batch": 50}, {}])
def test_similarities_to_many_centres_are_held_a_few_rows_at_a_time(monkeypatch, options):
    features = torch.randn(300, 8, generator=rng())
    whole = spherical_kmeans(features, 12, rng(1), iterations=3, **options)
    monkeypatch.setattr(search, "CELLS", 40)  # three rows of 12
    clusters = spherical_kmeans(features, 12, rng(1), iterations=3, **options)
    torch.testing.assert_close(clusters.centres, whole.centres)
    assert torch.equal(clusters.assignment, whole.assignment)


@pytest.mark.parametrize("chunk", [7, 1 << 14])
def test_lloyd_agrees_with_a_slow_transcription(monkeypatch, chunk):
    monkeypatch.setattr(clustering, "ROWS", chunk)
    features = torch.randn(300, 8, generator=rng())
    clusters = spherical_kmeans(features, 12, rng(1), iterations=5, tolerance=-1)
    start = normalize(features[torch.randperm(300, generator=rng(1))[:12]].double(), dim=1)
    centres, assignment = slow_lloyd(features, start, 5)
    torch.testing.assert_close(clusters.centres.double(), centres, rtol=1e-4, atol=1e-5)
    assert torch.equal(clusters.assignment, assignment)
    cosine = (normalize(features.double(), dim=1) * centres[assignment]).sum(1)
    assert clusters.inertia[-1] == pytest.approx((1 - cosine).mean().item(), abs=1e-6)


@pytest.mark.parametrize("options", [{"start": "k-means++"}, {"start": "k-means++", "batch": 32}])
def test_separate_blobs_are_found(options):
    features, truth = blobs(noise=0.02)
    clusters = spherical_kmeans(features, 6, rng(), **options)
    pairs = torch.stack([clusters.assignment, truth]).unique(dim=1)
    assert pairs.shape[1] == 6  # a one-to-one map
    torch.testing.assert_close(clusters.centres.norm(dim=1), torch.ones(6))


def test_inertia_never_rises_and_the_seed_decides():
    features = torch.randn(500, 10, generator=rng())
    clusters = spherical_kmeans(features, 20, rng(3), iterations=15, tolerance=-1)
    assert len(clusters.inertia) == 16
    assert all(later <= earlier + 1e-6 for earlier, later in zip(clusters.inertia, clusters.inertia[1:], strict=False))
    again = spherical_kmeans(features.numpy(), 20, rng(3), iterations=15, tolerance=-1)
    assert torch.equal(clusters.centres, again.centres)
    assert not torch.equal(clusters.centres, spherical_kmeans(features, 20, rng(4), iterations=15).centres)
    assert len(spherical_kmeans(features, 20, rng(3), iterations=99, tolerance=0.01).inertia) < 20


def test_an_empty_cluster_starts_anew_at_the_worst_served_row(monkeypatch):
    features = torch.cat([torch.eye(4)[[0] * 20 + [1] * 20], torch.eye(4)[2:]])
    twice = torch.cat([features[:1], features[:1], features[20:21], features[20:21]])

    monkeypatch.setattr(clustering, "_sample", lambda rows, k, generator: twice.clone())
    clusters = spherical_kmeans(features, 4, rng(), iterations=10, tolerance=-1)
    assert clusters.inertia[-1] == pytest.approx(0, abs=1e-6)
    assert len(clusters.assignment.unique()) == 4


def test_mini_batches_forget_assignments_of_early_centres():
    features = torch.randn(4000, 16, generator=rng())
    full = spherical_kmeans(features, 60, rng(1), iterations=20, tolerance=-1).inertia[-1]
    for batch in (60, 400, 1000):
        assert spherical_kmeans(features, 60, rng(1), iterations=20, batch=batch).inertia[-1] < 1.002 * full


def test_mini_batches_leave_no_cluster_empty():
    """Most of a sample of k rows are the same three: their clusters but for three get nothing."""
    generator = rng()
    often = torch.randn(3, 16, generator=generator).repeat_interleave(200, 0)
    features = torch.cat([torch.randn(300, 16, generator=generator), often])
    clusters = spherical_kmeans(features, 100, rng(1), batch=100)
    assert len(clusters.assignment.unique()) == 100


@pytest.mark.parametrize("options", [{}, {"batch": 2}])
def test_rows_that_cancel_out_leave_their_centre(options):
    clusters = spherical_kmeans(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), 1, rng(), **options)
    torch.testing.assert_close(clusters.centres.abs(), torch.tensor([[1.0, 0.0]]))


def test_rows_cancel_out_by_their_number():
    """A sum of a million unit rows is rounding below a length of one, that of a single row is not."""
    sums, kept = torch.tensor([[0.5, 0.0], [0.5, 0.0], [3.0, 4.0]]), torch.tensor([[0.0, 1.0]] * 3)
    directions = clustering._directions(sums, torch.tensor([1e6, 1.0, 1e6]), kept)
    assert directions.tolist() == [[0.0, 1.0], [1.0, 0.0], [pytest.approx(0.6), pytest.approx(0.8)]]


def test_a_mapped_array_is_read_in_parts(tmp_path):
    features, _ = blobs()
    np.save(tmp_path / "features.npy", features.numpy())
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    assert torch.equal(spherical_kmeans(mapped, 6, rng()).centres, spherical_kmeans(features, 6, rng()).centres)


def test_mini_batches_read_blocks_from_everywhere_and_every_row_once():
    for rows, batch, block in ((100_003, 8192, 128), (1000, 50, 1), (3000, 1 << 20, 256)):
        batches = list(clustering._shuffled_blocks(rows, batch, rng()))
        assert torch.equal(torch.cat(batches).sort().values, torch.arange(rows))
        assert [len(index) for index in batches[:-1]] == [batch] * (len(batches) - 1) or rows % block
        runs = 1 + sum(int((index.diff() != 1).sum()) for index in batches)
        assert runs <= rows // block + len(batches) + 1
    assert len({int(index) // 10_000 for index in next(clustering._shuffled_blocks(100_003, 8192, rng()))}) > 9


def test_mini_batches_of_blocks_find_what_lloyd_finds():
    features, _ = blobs(per=1500, noise=0.3)
    full = spherical_kmeans(features, 6, rng(1), start="k-means++").inertia[-1]
    assert spherical_kmeans(features, 6, rng(1), start="k-means++", batch=512, iterations=5).inertia[-1] < 1.01 * full


def test_groups_of_centres_find_nearly_the_nearest():
    """Of 1,600 centres in 40 groups a row sees the 16 nearest groups; with all of them it is exact."""
    centres = normalize(torch.randn(1600, 24, generator=rng(1)), dim=1)
    rows = normalize(centres[torch.arange(1600)] + 0.1 * torch.randn(1600, 24, generator=rng(2)), dim=1)
    similarity, index = search.exact(centres, "fp32")(rows)
    near, found = search.grouped(centres, "fp32")(rows)
    assert (found == index).float().mean() > 0.97 and (near <= similarity + 1e-6).all()
    torch.testing.assert_close((rows * centres[found]).sum(dim=1), near)
    few = centres[:200]  # in 14 groups
    assert torch.equal(search.grouped(few, "fp32")(rows)[1], search.exact(few, "fp32")(rows)[1])
    exact, grouped = (
        spherical_kmeans(rows, 400, rng(3), search=which, iterations=5).inertia[-1] for which in ("exact", "grouped")
    )
    assert grouped < 1.01 * exact


def test_a_k_means_plus_plus_that_would_not_end_is_refused():
    check_start("k-means++", 10_000, 1_000_000)
    check_start("sample", 1_000_000, 400_000_000)
    with pytest.raises(ConfigError, match="got 10,001 centres x 1,000,000 rows, expected at most 10,000,000,000"):
        check_start("k-means++", 10_001, 1_000_000)


def test_mistakes_are_one_sentence():
    features, _ = blobs(per=2)
    with pytest.raises(ConfigError, match="got k = 13, expected 1 to 12"):
        spherical_kmeans(features, 13, rng())
    for value in (0.0, float("nan"), float("inf")):
        broken = features.clone()
        broken[3] = value
        with pytest.raises(DataError, match="1 of 12 feature rows are zero or not finite"):
            spherical_kmeans(broken, 3, rng())


def _rank(rank, port, features, options, results):
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", world_size=2, rank=rank)
    part = features[:170] if rank == 0 else features[170:]
    clusters = spherical_kmeans(part, 12, rng(1), iterations=6, tolerance=-1, **options)
    results.put((rank, clusters.centres.numpy().copy(), clusters.assignment.numpy().copy(), clusters.inertia))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("options", [{}, {"start": "k-means++"}, {"batch": 50}], ids=["lloyd", "plus", "batch"])
def test_two_processes_find_what_one_finds(options, unused_port):
    features = torch.randn(300, 8, generator=rng())
    by_rank = {rank: rest for rank, *rest in on_two_ranks(_rank, unused_port, features, options)}
    alone = spherical_kmeans(features, 12, rng(1), iterations=6, tolerance=-1, **options)
    for rank in (0, 1):
        np.testing.assert_allclose(by_rank[rank][0], alone.centres.numpy(), rtol=1e-4, atol=1e-5)
        assert by_rank[rank][2] == pytest.approx(alone.inertia, abs=1e-6)
    assert np.array_equal(np.concatenate([by_rank[0][1], by_rank[1][1]]), alone.assignment.numpy())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_cpu_s_clusters_and_the_same_bits_twice():
    features, _ = blobs(per=200, k=12, dim=32, noise=0.3)
    cluster = partial(spherical_kmeans, features.numpy(), 12, iterations=10, tolerance=-1)
    on_cpu = cluster(rng())
    with deterministic(True):
        first, second = cluster(rng(), device="cuda"), cluster(rng(), device="cuda")
    assert torch.equal(first.centres, second.centres)
    torch.testing.assert_close(first.centres.cpu(), on_cpu.centres, rtol=1e-4, atol=1e-5)
    assert (first.assignment.cpu() == on_cpu.assignment).float().mean() > 0.999
