import numpy as np
import pytest
import torch
from clip_benchmark.metrics.zeroshot_retrieval import recall_at_k
from torch.nn.functional import normalize

from mlcd_eval.metrics import retrieval
from mlcd_eval.metrics.retrieval import caption_ranks, recall_at, retrieval_ranks

TILES = [1, 2, 3, 7, 64, None]


def rank_by_sorting(scores: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """scores, relevant (Q, G): 1-based place of the first relevant item in the order (score falling, index rising)."""
    ranks = []
    for row, good in zip(scores, relevant, strict=True):
        order = np.lexsort((np.arange(len(row)), -row))
        ranks.append(1 + int(np.flatnonzero(good[order])[0]))
    return np.array(ranks)


def random_problem(
    num_images: int, num_texts: int, dim: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    of = torch.cat(
        [torch.arange(num_images), torch.randint(num_images, (num_texts - num_images,), generator=generator)]
    )
    of = of[torch.randperm(num_texts, generator=generator)]
    image = normalize(torch.randn(num_images, dim, generator=generator), dim=1)
    text = normalize(image[of] + 0.9 * torch.randn(num_texts, dim, generator=generator), dim=1)
    return image, text, of


def test_ranks_worked_by_hand():
    image = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    text = torch.tensor([[0.6, 0.8], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])
    # similarities    text 0  1    2     3
    #   image 0       0.60   1.0   0.0  0.0
    #   image 1       0.96   0.8  -0.6  0.6
    #   image 2       0.80   0.0  -1.0  1.0
    ranks = retrieval_ranks(image, text, torch.tensor([0, 1, 1, 2]))
    assert ranks.text_to_image.tolist() == [3, 2, 2, 1]
    assert ranks.image_to_text.tolist() == [2, 2, 1]


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("seed", range(3))
def test_many_ties_against_a_full_sort(tile, seed):
    rng = np.random.default_rng(seed)
    directions = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6], [-1, 0]], dtype=np.float32)
    image, text = directions[rng.integers(5, size=11)], directions[rng.integers(5, size=29)]
    of = rng.permutation(np.r_[np.arange(11), rng.integers(11, size=18)])
    ranks = retrieval_ranks(torch.tensor(image), torch.tensor(text), torch.tensor(of), tile)
    scores = np.round(image.astype(np.float64) @ text.astype(np.float64).T, 6)
    own = of == np.arange(11)[:, None]
    assert ranks.text_to_image.tolist() == rank_by_sorting(scores.T, own.T).tolist()
    assert ranks.image_to_text.tolist() == rank_by_sorting(scores, own).tolist()


@pytest.mark.parametrize("k", [1, 5, 10])
def test_clip_benchmark_agrees(k):
    image, text, of = random_problem(40, 130, 32, seed=4)
    scores = text @ image.T
    own = torch.zeros_like(scores, dtype=torch.bool)
    own[torch.arange(130), of] = True
    ranks = retrieval_ranks(image, text, of, tile=16)
    expected_t2i = (recall_at_k(scores, own, k) > 0).double().numpy()
    expected_i2t = (recall_at_k(scores.T, own.T, k) > 0).double().numpy()
    assert 0 < expected_t2i.mean() < 1
    np.testing.assert_array_equal(recall_at(ranks.text_to_image, k), expected_t2i)
    np.testing.assert_array_equal(recall_at(ranks.image_to_text, k), expected_i2t)


@pytest.mark.parametrize("tile", TILES)
def test_constant_encoder_is_ranked_by_index(tile):
    row = normalize(torch.randn(1, 200, generator=torch.Generator().manual_seed(0)), dim=1)
    of = torch.tensor([1, 0, 2, 0, 2])
    ranks = retrieval_ranks(row.expand(3, -1), row.expand(5, -1), of, tile)
    assert ranks.text_to_image.tolist() == [2, 1, 3, 1, 3]
    assert ranks.image_to_text.tolist() == [2, 1, 3]


@pytest.mark.parametrize("tile", [5, 13, 100, None])
def test_equal_rows_tie_exactly_wherever_they_stand(tile):
    """Float32 products of equal rows differ in the last bits by their place in the matrix; these do not."""
    generator = torch.Generator().manual_seed(1)
    image = normalize(torch.randn(67, 333, generator=generator), dim=1).repeat(3, 1)
    text = normalize(torch.randn(67, 333, generator=generator), dim=1)
    first = retrieval_ranks(image, text, torch.arange(67), tile).text_to_image
    second = retrieval_ranks(image, text, torch.arange(67) + 67, tile).text_to_image
    third = retrieval_ranks(image, text, torch.arange(67) + 134, tile).text_to_image
    assert (first % 3 == 1).all() and (second == first + 1).all() and (third == first + 2).all()


@pytest.mark.parametrize("dim", [8, 128])
def test_float32_decides_only_what_it_can(monkeypatch, dim):
    """Rows that are equal, or apart by less than float32 tells, come to the exact products' ranks."""
    image, text, of = random_problem(400, 1500, dim, seed=5)
    image[200:220] = image[:20]
    image[220:240] = normalize(image[20:40] + 1e-7 * torch.randn(20, dim), dim=1)
    text[700:720] = text[:20]

    def exact(*_):
        raise AssertionError("a whole tile was multiplied exactly")

    with monkeypatch.context() as patch:
        patch.setattr(retrieval, "_num_ahead", exact)
        ranks = retrieval_ranks(image, text, of, tile=256)
    monkeypatch.setattr(retrieval, "MOST_UNSURE", -1)
    for one, other in zip(ranks, retrieval_ranks(image, text, of), strict=True):
        assert np.array_equal(one, other)
    assert ranks.text_to_image_ties.any() and ranks.image_to_text_ties.any()


def test_order_of_items_is_irrelevant_without_ties():
    image, text, of = random_problem(30, 90, 16, seed=2)
    ranks = retrieval_ranks(image, text, of)
    generator = torch.Generator().manual_seed(3)
    images, texts = torch.randperm(30, generator=generator), torch.randperm(90, generator=generator)
    moved = retrieval_ranks(image[images], text[texts], images.argsort()[of[texts]], tile=8)
    assert (moved.text_to_image == ranks.text_to_image[texts.numpy()]).all()
    assert (moved.image_to_text == ranks.image_to_text[images.numpy()]).all()


def test_image_without_captions_stays_in_the_gallery():
    image = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    ranks = retrieval_ranks(image, torch.tensor([[0.6, 0.8], [1.0, 0.0]]), torch.tensor([0, 0]))
    assert ranks.text_to_image.tolist() == [2, 1]
    assert ranks.image_to_text.tolist() == [1, 3]


def test_fewer_items_than_k_count_as_found():
    assert recall_at(np.array([1, 2, 3]), 2).tolist() == [1, 1, 0]
    ranks = retrieval_ranks(torch.eye(2), -torch.eye(2), torch.tensor([0, 1]))
    assert recall_at(ranks.text_to_image, 5).tolist() == [1, 1]


@pytest.mark.parametrize("bad", [3.0, float("nan")])
def test_rows_must_be_normalised_and_finite(bad):
    rows = torch.eye(2)
    rows[1, 1] = bad
    with pytest.raises(AssertionError):
        retrieval_ranks(torch.eye(2), rows, torch.tensor([0, 1]))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_gives_the_same_ranks():
    image, text, of = random_problem(300, 900, 64, seed=5)
    cpu, cuda = retrieval_ranks(image, text, of), retrieval_ranks(image.cuda(), text.cuda(), of.cuda())
    assert (cpu.text_to_image == cuda.text_to_image).all() and (cpu.image_to_text == cuda.image_to_text).all()


@pytest.mark.parametrize("tile", TILES)
def test_ranks_of_every_caption_against_a_full_sort(tile):
    """Rows with many ties, and rows without."""
    rng = np.random.default_rng(4)
    directions = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6], [-1, 0]], dtype=np.float32)
    image, text = (torch.tensor(directions[rng.integers(5, size=size)]) for size in (11, 29))
    of = torch.tensor(rng.permutation(np.r_[np.arange(11), rng.integers(11, size=18)]))
    for problem in ((image, text, of), random_problem(40, 130, 32, seed=4)):
        image, text, of = problem
        scores = np.round(image.double().numpy() @ text.double().numpy().T, 6)[of]
        order = [np.lexsort((np.arange(len(row)), -row)) for row in scores]
        expected = [1 + int(np.flatnonzero(row == caption)[0]) for caption, row in enumerate(order)]
        assert caption_ranks(image, text, of, tile).tolist() == expected
        best = retrieval_ranks(image, text, of, tile).image_to_text
        assert [min(np.array(expected)[of == row]) for row in range(len(image))] == best.tolist()
