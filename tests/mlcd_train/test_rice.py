"""Regions: boxes within crops, patches in boxes, the pooled features and both losses against float64 code, and runs."""

import json
import math
import random
from itertools import count

import float64_reference as reference
import numpy as np
import pytest
import torch
from rice_scenes import write_scene
from safetensors.torch import load_file

from mlcd_eval.errors import DataError, UserError
from mlcd_eval.support.progress import Progress
from mlcd_train.augment import View, view_of
from mlcd_train.centres import ClassCentres
from mlcd_train.drops import WHOLE as NOTHING_LEFT_OUT
from mlcd_train.losses import cluster_loss, mlc_of_sums, mlcd_of_sums, positive_similarity
from mlcd_train.objectives.rice import RegionDiscrimination, RegionPooling, patch_masks
from mlcd_train.region_file import RegionFile, within
from mlcd_train.runlog import read_log
from mlcd_train.sections import Augmentation
from mlcd_train.stages import TrainingRun

WHOLE = Augmentation(scale=(1.0, 1.0), ratio=(1.0, 1.0))


def test_a_box_within_a_crop():
    """A crop of 20 x 10 pixels from (10, 5): a box that it holds, its mirror, one that it cuts, and one it has lost."""
    view = View((10, 5, 30, 15), flipped=False)
    assert within((15, 5, 20, 10), view) == (0.25, 0.0, 0.5, 0.5)
    assert within((15, 5, 20, 10), View(view.box, flipped=True)) == (0.5, 0.0, 0.75, 0.5)
    assert within((25, 10, 35, 15), view) == (0.75, 0.5, 1.0, 1.0)  # half of it is there
    assert within((25, 10, 36, 15), view) is None and within((0, 0, 5, 5), view) is None


def test_the_patches_of_a_box():
    """Of a grid of 4: a box from 0.25 to 0.5 across is column 1 alone; one without an extent has all patches."""
    masks = patch_masks(torch.tensor([[[0.25, 0.0, 0.5, 0.3], [0.2, 0.9, 0.8, 1.0], [0.0] * 4]]), 4)
    where = [mask.nonzero().flatten().tolist() for mask in masks[0]]
    assert where == [[1, 5], [12, 13, 14, 15], list(range(16))]


def configured(seed):
    """An objective without tower, pixels that are patches, masks, labels, and what it is made of."""
    chance, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    images, most, classes = chance.randint(1, 4), chance.randint(1, 5), chance.randint(8, 40)
    heads, grid, dim = chance.choice([1, 2]), chance.choice([2, 3]), chance.choice([3, 8])
    width = 4 * heads
    torch.manual_seed(seed)
    pooling = RegionPooling(width, heads, dim)
    shared = {"margin": chance.choice([0.0, 0.3]), "scale": chance.choice([1.0, 8.0, 16.0])}
    shared["margin_gradient"] = chance.choice(["exact", "straight_through"])
    banks = {}
    for name, of_sums, weight in (("objects", mlc_of_sums, 1.0), ("texts", mlcd_of_sums, 0.25 + seed / 20)):
        centres = torch.randn(classes, dim, generator=generator)
        bank = ClassCentres(classes, dim, of_sums, centres=centres, ratio=0.5, seed=seed, **shared)
        banks[name] = bank, weight, 1.0
    rows = images * most
    objects = torch.randint(classes, (rows, 1), generator=generator)
    texts = torch.stack([torch.randperm(classes, generator=generator)[:3] for _ in range(rows)])
    is_text = torch.arange(rows) % 3 == 1
    objects[is_text], texts[~is_text] = -1, -1
    texts[is_text.nonzero().flatten()[::2], 2] = -1
    masks = torch.rand(images, most, grid * grid, generator=generator) < 0.5
    masks[..., 0] |= ~masks.any(dim=-1)
    objective = RegionDiscrimination(torch.nn.Module(), pooling, None, banks, WHOLE, most)
    labels = {"objects": objects, "texts": texts}
    objective._coming = masks, {n: (own, banks[n][0].choose(own, seed)) for n, own in labels.items()}
    objective.model.visual = lambda pixels, kept, paths: (None, pixels.unflatten(1, (grid, grid)))
    patches = torch.randn(images, grid * grid, width, generator=generator)
    return objective, patches, masks, labels, banks, shared


def run_part(objective, patches):
    objective.begin(1)
    x = patches.clone().requires_grad_()
    features = objective.features(x, NOTHING_LEFT_OUT, 0)
    features.retain_grad()
    loss, terms = objective.part(features, 0)
    loss.backward()
    return x, features, loss.detach(), terms


@pytest.mark.parametrize(("dtype", "largest"), [(torch.float64, 1e-8), (torch.float32, 6e-6)])
@pytest.mark.parametrize("seed", range(40))
def test_both_losses_of_pooled_regions(seed, dtype, largest):
    """Loss, and gradients of patches, pooling and class rows; regions with no label add nothing. In float32 a margin
    near the end of its range makes rounding, which differs by processor, several times larger than elsewhere."""
    objective, patches, masks, labels, banks, shared = configured(seed)
    pooling, patches = objective._pooling.to(dtype), patches.to(dtype)
    for bank, _, _ in banks.values():
        bank.weight = bank.weight.to(dtype)
    x, _, loss, _ = run_part(objective, patches)
    exact = {name: parameter.detach().double().numpy() for name, parameter in pooling.named_parameters()}
    layers = [(exact[f"{name}.weight"], exact[f"{name}.bias"]) for name in ("key", "value", "out")]
    pooled, back = reference.masked_pooling(
        patches.double().numpy(), masks.numpy(), exact["query"], *layers, pooling.heads
    )
    total, of_features = 0.0, np.zeros(pooled.shape)
    pairs = []
    for name, kind in (("objects", "mlc"), ("texts", "mlcd")):
        bank, weight, _ = banks[name]
        own = [[c for c in row if c >= 0] for row in labels[name].tolist()]
        here = [n for n, row in enumerate(own) if row]
        if not here:
            continue
        drawn = objective._drawn[name]
        settings = {"margin": shared["margin"], "scale": shared["scale"], "kind": "angular"}
        settings["gradient"] = shared["margin_gradient"]
        part, of_part, of_rows = reference.cluster_losses(
            pooled[here], bank.weight.numpy(), [own[n] for n in here], [drawn.classes.tolist()] * len(here), kind,
            threshold=None, filtered="left_out", **settings,
        )  # fmt: skip
        total += weight * part
        of_features[here] += weight * of_part
        pairs.append((drawn.rows.grad, weight * of_rows[drawn.classes.numpy()]))
    grads = back(of_features)
    pairs += [(x.grad, grads["patches"]), (pooling.query.grad, grads["query"])]
    pairs += [(dict(pooling.named_parameters())[name].grad, grads[name]) for name in exact if name != "query"]
    assert abs(float(loss) - total) <= min(largest, 2e-6) * max(1.0, abs(total))
    for ours, theirs in pairs:
        theirs = torch.from_numpy(theirs)
        assert (ours.double() - theirs).norm() <= largest * max(1.0, float(theirs.norm()))


def test_a_gradient_of_either_heads_rows_that_is_not_finite_is_seen():
    objective, patches, *_ = configured(5)
    run_part(objective, patches)
    assert bool(objective.finite()) is True
    for name, drawn in objective._drawn.items():
        drawn.rows.grad[0, 0], before = torch.inf, drawn.rows.grad[0, 0].clone()
        assert bool(objective.finite()) is False, name
        drawn.rows.grad[0, 0] = before


def test_objects_are_cluster_discrimination_of_regions():
    """With one positive the loss of objects is the mean cluster loss of the pooled regions, to 1e-6."""
    objective, patches, _, labels, banks, shared = configured(5)
    _, features, _, terms = run_part(objective, patches)
    bank, drawn = banks["objects"][0], objective._drawn["objects"]
    losses = []
    for feature, [label] in zip(features.detach(), labels["objects"].tolist(), strict=True):
        if label >= 0:
            cosine = torch.nn.functional.cosine_similarity(feature[None], bank.weight)
            positive = positive_similarity(cosine[label], shared["margin"], shared["scale"])
            others = drawn.classes[drawn.classes != label]
            losses.append(cluster_loss(positive[None, None], shared["scale"] * cosine[others][None]))
    assert float(terms["objects/loss"]) == pytest.approx(float(torch.cat(losses).mean()), abs=1e-6)


def test_the_regions_of_a_step(tmp_path):
    """Classes by frequency; at most `most` regions of an image; the crop's own seed moves the boxes."""
    regions = RegionFile(write_scene(tmp_path / "boxes.jsonl"))
    assert list(regions.objects) == ["ball", "cone", "cube"] or list(regions.objects) == ["ball", "cube", "cone"]
    assert set(regions.texts) == {"no</w>", "exit</w>", "stop</w>"} and len(regions) == 40
    seen = regions.seen(["s001", "unknown"], ["a", "b"], Augmentation(scale=(1, 1), ratio=(1.2, 1.2), flip=1.0), 3)
    assert view_of((24, 20), random.Random("a"), Augmentation(scale=(1, 1), ratio=(1.2, 1.2), flip=1.0)).flipped
    assert seen.boxes[0].tolist() == [[0.5, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0], [0.0] * 4]
    assert seen.objects.flatten().tolist() == [regions.objects["cube"], *[-1] * 5]
    assert seen.texts[1].tolist() == [regions.texts["stop</w>"], *[-1] * 15] and (seen.texts[2:] == -1).all()
    few = [regions.seen(["s001"], [str(n)], WHOLE, 1).objects.item() for n in range(20)]
    assert set(few) == {-1, regions.objects["cube"]}


def test_a_run_learns_and_goes_on_alike(make_config, tmp_path):
    path = write_scene(tmp_path / "boxes.jsonl")
    rice = f"fit.objective={{name: rice, regions: {path}, objects: {{ratio: 1}}, texts: {{ratio: 1}}}}"
    changes = ("embed=null", "cluster=null", "assign=null", rice, "data.augmentation.flip=0.5")
    config = make_config(*changes)
    run = TrainingRun(config, torch.device("cpu"), Progress())
    run.run()
    log = read_log(config.output / "fit" / "log.jsonl")
    assert log[-1]["loss"] < log[0]["loss"] and math.isfinite(log[0]["texts/positive_cosine"])
    half = make_config(*changes, name="workers")
    other = half.model_copy(update={"data": half.data.model_copy(update={"workers": 2})})
    TrainingRun(other, torch.device("cpu"), Progress()).run()
    again = read_log(other.output / "fit" / "log.jsonl")
    assert [line["loss"] for line in again] == [line["loss"] for line in log]


def test_ten_steps_are_five_and_five_more(make_config, tmp_path, monkeypatch):
    """Killed before step 7 of 10, with a state of step 5: towers, pooling and both heads' centres come back, and the
    projection, of which the loss is no function, has no moments to come back."""
    rice = f"fit.objective={{name: rice, regions: {write_scene(tmp_path / 'boxes.jsonl')}}}"
    changes = ("embed=null", "cluster=null", "assign=null", "fit.steps=10", "fit.save_every=5", rice)
    whole, killed = (make_config(*changes, name=name) for name in ("whole", "killed"))
    TrainingRun(whole, torch.device("cpu"), Progress()).run()
    with monkeypatch.context() as patch:
        patch.setattr(RegionDiscrimination, "update", stop_at(7, RegionDiscrimination.update))
        with pytest.raises(KeyboardInterrupt):
            TrainingRun(killed, torch.device("cpu"), Progress()).run()
    TrainingRun(killed, torch.device("cpu"), Progress()).run()
    logs = [[line["loss"] for line in read_log(config.output / "fit" / "log.jsonl")] for config in (whole, killed)]
    assert logs[0] == logs[1] and len(logs[0]) == 10
    first, second = (load_file(config.output / config.name / "model.safetensors") for config in (whole, killed))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def stop_at(call, method):
    """A method that is interrupted when it is called for the nth time, from 0."""
    calls = count()

    def stopped(*args):
        if next(calls) == call:
            raise KeyboardInterrupt
        method(*args)

    return stopped


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"regions": [{"box": [20, 0, 5, 5], "label": "a"}]},
            r"row 1: the box .* of region 1 reaches outside the image",
        ),
        ({"regions": [{"box": [2, 0, 0, 5], "label": "a"}]}, r"row 1: the box .* covers no patch of the image"),
        ({"regions": [{"box": [2, 0, 5], "label": "a"}]}, r"row 1: got .*, expected key, size \[width, height\]"),
        ({"regions": [{"box": [2, 0, 5, 5]}]}, r"row 1: got .*, expected key, size \[width, height\]"),
        ({"regions": [{"box": [2, 0, 5, 10**400], "label": "a"}]}, r"row 1: got .*, expected key, size"),
        ({"size": [float("inf"), 20]}, r"row 1: got .*, expected key, size"),
        ({"size": [30, 20]}, r"boxes.jsonl: 's000' is of 30 x 20 pixels, expected the image's 24 x 20$"),
        (None, r"there is no file"),
    ],
)
def test_mistakes_are_one_sentence(make_config, tmp_path, changes, sentence):
    path = tmp_path / "boxes.jsonl"
    if changes is not None:
        write_scene(path, changes)
    rice = f"fit.objective={{name: rice, regions: {path}}}"
    with pytest.raises(UserError, match=sentence) as error:
        TrainingRun(
            make_config("embed=null", "cluster=null", "assign=null", rice), torch.device("cpu"), Progress()
        ).run()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ([], r"boxes\.jsonl has no regions, expected some$"),
        ([{"label": "ball"}], r"boxes\.jsonl: its objects are of a single class, 'ball': expected 2 or more$"),
        (
            [{"label": "ball"}, {"label": "cone"}, {"text": "stop"}],
            r"boxes\.jsonl: its texts are of a single class, 'stop</w>': expected 2 or more$",
        ),
    ],
)
def test_files_of_no_or_a_single_class(tmp_path, regions, message):
    row = {"key": "a", "size": [9, 9], "regions": [{"box": [0, 0, 9, 9], **region} for region in regions]}
    (tmp_path / "boxes.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=message):
        RegionFile(tmp_path / "boxes.jsonl")


def test_an_image_has_one_line(tmp_path):
    """A byte order mark and blank lines are no mistakes; a key that is there again is."""
    row = {"key": "a", "size": [9, 9], "regions": [{"box": [0, 0, 9, 9], "label": x} for x in ("ball", "cube")]}
    file, text = tmp_path / "boxes.jsonl", json.dumps(row) + "\n"
    file.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\n")
    assert len(RegionFile(file)) == 1
    file.write_text(text + text)
    with pytest.raises(DataError, match=r"boxes\.jsonl, row 2: the key 'a' is there twice, expected each once$"):
        RegionFile(file)
