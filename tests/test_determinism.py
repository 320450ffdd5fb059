"""The same request gives the same record except for times, bitwise in fp32 on a CPU."""

import json

import numpy as np
import pytest
import torch
from pairs import COLOURS, picture, write_shard

from mlcd_eval import evaluate
from mlcd_eval.data import open_dataset
from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, save_checkpoint
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.features.encode import EncodeOptions, encode_split, encode_texts
from mlcd_train.fit import new_model

TOWER = {"image_size": 32, "patch_size": 8, "width": 64, "depth": 2, "heads": 4}
TEXT = {"context_length": 12, "width": 64, "depth": 2, "heads": 4}
COUNT = 49  # of test images: a remainder of one for batches of 16 and 24


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of two towers with random weights."""
    folder = tmp_path_factory.mktemp("model") / "two_towers"
    shape = CheckpointConfig(vision=TOWER, text=TEXT, embed_dim=48, preprocess=Preprocess(image_size=32))
    save_checkpoint(folder, new_model(shape, 0, torch.device("cpu")))
    return str(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Coloured pictures with labels, and the same with captions."""
    root = tmp_path_factory.mktemp("data")
    for split, count in (("train", 60), ("test", COUNT)):
        images = [(list(COLOURS)[number % 4], number) for number in range(count)]
        for folder, suffix in (("colours", "cls"), ("captions", "txt")):
            members = []
            for colour, number in images:
                text = str(list(COLOURS).index(colour)) if suffix == "cls" else f"picture {number}, {colour}"
                members += [(f"s{number:03d}.png", picture(colour, number)), (f"s{number:03d}.{suffix}", text.encode())]
            write_shard(root / folder / split / "0.tar", members)
            (root / folder / split / "nshards.txt").write_text("1")
    (root / "captions" / "dataset_type.txt").write_text("retrieval")
    (root / "colours" / "classnames.txt").write_text("\n".join(COLOURS))
    (root / "colours" / "zeroshot_classification_templates.txt").write_text("a {c} thing\n{c}")
    return root


@pytest.fixture(scope="module")
def run(model, data, tmp_path_factory):
    """A function that returns the records, without times, and samples of four protocols; `cache` is new by default."""

    def run(cache=None, **options):
        folder = tmp_path_factory.mktemp("run")
        records = {}
        for name, tasks in (("colours", ["zeroshot", "knn", "linear_probe"]), ("captions", ["retrieval"])):
            options = {"workers": 0, **options, "output": folder / "out", "cache": cache or folder / "cache"}
            for result in evaluate(model, tasks, datasets=[f"wds:{data / name}"], log_samples=True, **options):
                assert result.status == "ok", result.error
                records[result.task.name] = json.loads(
                    result.model_copy(update={"timing": None, "efficiency": None}).model_dump_json()
                )
        samples = {path.name: path.read_text() for path in sorted(folder.rglob("samples/*.jsonl"))}
        assert len(records) == len(samples) == 4
        return records, samples

    return run


@pytest.fixture(scope="module")
def reference(run):
    return run()


@pytest.mark.parametrize(
    "options",
    [{}, {"batch_size": 16}, {"batch_size": 24}, {"batch_size": 64}, {"workers": 2}],
    ids=["again", "batches of 16", "batches of 24", "one batch", "two workers"],
)
def test_records_are_the_same_to_the_last_bit(run, reference, options):
    assert run(**options) == reference


def test_records_are_the_same_with_all_or_some_stored_features(run, reference, tmp_path):
    assert run(tmp_path) == reference
    stored = sorted(tmp_path.rglob("features.npy"))
    assert len(stored) >= 4
    assert run(tmp_path) == reference
    for path in stored[::2]:
        (path.parent / "meta.json").unlink()
    assert run(tmp_path) == reference


@pytest.mark.parametrize("rows", [1, 2, 3, 16])
def test_last_bits_do_not_depend_on_the_address_of_a_matrix(rows):
    """MKL's would on AMD, for few rows, without MKL_CBWR, which the package sets."""

    def shifted(matrix, offset):
        flat = torch.empty(matrix.numel() + offset)[offset:]
        return flat.copy_(matrix.view(-1)).view(matrix.shape)

    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(rows, 192, generator=generator), torch.randn(768, 192, generator=generator)
    expected = torch.nn.functional.linear(x, weight)
    for offset in range(1, 17):
        assert torch.equal(torch.nn.functional.linear(shifted(x, offset), shifted(weight, offset)), expected)


@pytest.fixture(scope="module")
def encoded(model, data):
    """A function that returns features for a batch size, precision and device."""

    def encode(cache, batch_size, precision="fp32", device="cpu"):
        encoder = load_encoder(model).to(torch.device(device), precision)
        options = EncodeOptions(cache / f"{batch_size} {precision} {device}", precision, batch_size)
        split = open_dataset(f"wds:{data}/colours").split("test")
        features = encode_split(encoder, split, ["penultimate", "projected"], options).features
        texts = encode_texts(encoder, [f"thing {number}" for number in range(33)], options)
        return [*(np.array(features[layer].array) for layer in sorted(features)), texts]

    return encode


def distance(first, second):
    """The largest difference, relative to the largest number."""
    return max(np.abs(a - b).max() / np.abs(a).max() for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_small_batches_differ_by_rounding_only(encoded, tmp_path, batch_size):
    """BLAS sums a few rows in another order than many."""
    assert distance(encoded(tmp_path, 32), encoded(tmp_path, batch_size)) < 2e-6


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("bf16", 5e-2), ("fp16", 1e-2)])
def test_a_gpu_agrees_with_the_cpu(encoded, tmp_path, precision, tolerance):
    """Two runs on the same device are bitwise equal. The tolerances are expectations, since no GPU was available."""
    on_gpu = encoded(tmp_path / "first", 32, precision, "cuda")
    again = encoded(tmp_path / "second", 32, precision, "cuda")
    assert all(np.array_equal(a, b) for a, b in zip(on_gpu, again, strict=True))
    from_cpu, by_batch_size = (distance(on_gpu, encoded(tmp_path, *how)) for how in ((32,), (24, precision, "cuda")))
    print(f"{precision}: relative difference {from_cpu:.1e} from the CPU, {by_batch_size:.1e} by batch size")
    assert from_cpu < tolerance
