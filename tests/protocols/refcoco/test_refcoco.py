"""RefCOCO's protocol: native masks, probe and zero-shot on scenes where the right answer is known."""

import numpy as np
import pytest
from protocol_inputs import text_encoder, values
from pycocotools import mask as coco
from tiny_encoder import TinyEncoder, red_finder

from mlcd_eval.data.annotations import Expression, GeneralizedExpression
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.metrics.segmentation import encode
from mlcd_eval.protocols.base import Features, ImageRequest, Inputs
from mlcd_eval.protocols.refcoco import mask_head
from mlcd_eval.protocols.refcoco.protocol import Refcoco, RefcocoSettings
from mlcd_eval.protocols.refcoco.square import from_square, to_square

PROTOCOL = Refcoco()
GRID, CELL = 4, 8
COLOURS = {"red": 0, "green": 1, "blue": 2}


def scenes(count, seed, colours=COLOURS):
    """Images of 24 x 32 with a patch of each colour; an expression names one. A patch's feature is its colour."""
    chance = np.random.default_rng(seed)
    features = np.zeros((count, GRID, GRID, 3), np.float32)
    expressions = []
    for image in range(count):
        places = chance.choice(GRID * (GRID - 1), size=len(colours), replace=False)  # the last row is letterbox
        for name, place in zip(colours, places, strict=True):
            row, column = divmod(int(place), GRID)
            features[image, row, column, COLOURS[name]] = 1
            mask = np.zeros((24, 32), bool)
            mask[CELL * row : CELL * (row + 1), CELL * column : CELL * (column + 1)] = True
            number = len(expressions)
            expressions.append(Expression(number, number, str(image), name, (24, 32), encode(mask)))
    return Features(features, [str(image) for image in range(count)]), expressions


encode_texts = text_encoder({name: np.eye(3)[column] for name, column in COLOURS.items()})


def inputs(predictions=None, **changes):
    (train, train_said), (test, test_said) = scenes(60, 0), scenes(15, 1)
    fields = {
        "images": {"train": train, "test": test},
        "annotations": {"train": train_said, "test": test_said},
        "encode_texts": encode_texts,
        "predictions": predictions,
    }
    return Inputs(**{**fields, **changes})


def value(scores, name="overall_iou"):
    return values(scores)[name]


def test_right_masks_score_1_and_swapped_ones_what_numpy_says():
    truths = inputs().annotations["test"]
    native = RefcocoSettings(mode="native")
    right = PROTOCOL.score(native, inputs({truth.sent_id: truth.truth for truth in truths}))
    assert all(metric.value == 1.0 and metric.num_scored == 45 for metric in right.metrics)
    assert right.primary == "overall_iou"
    masks = [coco.decode(truth.truth).astype(bool) for truth in truths]
    wide = [mask | np.roll(mask, 4, axis=1) for mask in masks]
    shifted = {truth.sent_id: encode(mask) for truth, mask in zip(truths, wide, strict=True)}
    scores = PROTOCOL.score(native, inputs(shifted))
    both = np.array([(a & b).sum() for a, b in zip(wide, masks, strict=True)])
    either = np.array([(a | b).sum() for a, b in zip(wide, masks, strict=True)])
    ious = both / either
    assert value(scores) == pytest.approx(both.sum() / either.sum())
    assert value(scores, "mean_iou") == pytest.approx(np.mean(ious))
    assert value(scores, "precision@0.6") == pytest.approx(np.mean(ious >= 0.6))
    for metric in scores.metrics:
        assert metric.ci95[0] - 1e-9 <= metric.value <= metric.ci95[1] + 1e-9
    assert scores.samples["iou"] == pytest.approx(ious.tolist())


def test_empty_masks_on_both_sides_count_by_the_rule():
    empty = encode(np.zeros((24, 32)))
    nothing = [Expression(0, 0, "0", "red", (24, 32), empty)]
    for rule, expected in (("lisa", 1.0), ("lavt", 0.0)):
        settings = RefcocoSettings(mode="native", empty_union=rule)
        scores = PROTOCOL.score(settings, inputs({0: empty}, annotations={"test": nothing}))
        assert value(scores, "mean_iou") == value(scores, "precision@0.9") == expected
        assert value(scores) is None


def gres(masks, truths, has_target):
    """gRefCOCO's numbers, sample by sample on decoded masks, from the definitions of GRES (Liu et al. 2023)."""
    ious, intersections, unions, target_ious = [], 0, 0, []
    no_target, no_target_right, target, target_kept = 0, 0, 0, 0
    for mask, truth, is_there in zip(masks, truths, has_target, strict=True):
        predicted, intersection, union = mask.sum(), (mask & truth).sum(), (mask | truth).sum()
        if is_there:
            target += 1
            target_kept += predicted > 0
            ious.append(intersection / union if union else 0.0)
            target_ious.append(ious[-1])
            intersections, unions = intersections + intersection, unions + union
        elif predicted:
            no_target += 1
            ious.append(0.0)
            unions += predicted
        else:
            no_target, no_target_right = no_target + 1, no_target_right + 1
            ious.append(1.0)
    return {
        "overall_iou": intersections / unions,
        "mean_iou": sum(ious) / len(ious),
        "target_accuracy": target_kept / target,
        "no_target_accuracy": no_target_right / no_target,
        **{f"target_precision@{at}": sum(iou >= at for iou in target_ious) / target for at in (0.7, 0.8, 0.9)},
    }


def generalized(seed, count=60):
    """Masks, truths and sentences of which a third refers to nothing; among them a target without a pixel."""
    chance = np.random.default_rng(seed)
    has_target = chance.random(count) < 0.66
    has_target[:2] = True, False
    truths = [(chance.random((6, 5)) < 0.4) & there for there in has_target]
    masks = [truth ^ (chance.random((6, 5)) < chance.choice([0.0, 0.05, 0.4])) for truth in truths]
    masks = [mask & (chance.random() < 0.8) for mask in masks]
    truths[0], masks[0] = np.zeros((2, 6, 5), bool)
    sentences = [
        GeneralizedExpression(number, number, str(number // 2), "it", (6, 5), encode(truth), has_target=bool(there))
        for number, (truth, there) in enumerate(zip(truths, has_target, strict=True))
    ]
    return masks, truths, sentences


@pytest.mark.parametrize("seed", range(3))
def test_sentences_that_may_refer_to_nothing_are_scored_as_gres_defines(seed):
    masks, truths, sentences = generalized(seed)
    settings = RefcocoSettings(mode="native", empty_union="lavt")
    scores = PROTOCOL.score(settings, inputs(dict(enumerate(map(encode, masks))), annotations={"test": sentences}))
    expected = gres(masks, truths, [sentence.has_target for sentence in sentences])
    assert {metric.name: metric.value for metric in scores.metrics} == pytest.approx(expected)
    assert scores.primary == "mean_iou"
    count = {metric.name: metric.num_scored for metric in scores.metrics}
    assert count["no_target_accuracy"] + count["target_accuracy"] == count["mean_iou"] == 60


def test_the_shares_of_a_limit_without_a_sentence_of_a_kind_are_unknown():
    _, _, sentences = generalized(0)
    with_target = [sentence for sentence in sentences if sentence.has_target]
    right = {sentence.sent_id: sentence.truth for sentence in with_target}
    scores = PROTOCOL.score(RefcocoSettings(mode="native"), inputs(right, annotations={"test": with_target}))
    assert value(scores, "no_target_accuracy") is None and value(scores, "mean_iou") == 1.0


def test_a_probe_learns_from_sentences_that_refer_to_nothing():
    """Their truths do not drag the box of the baseline into the corner."""
    fields = inputs().annotations
    empty = encode(np.zeros((24, 32)))
    said = {
        role: [
            GeneralizedExpression(s.sent_id, s.ref_id, s.image, s.text, s.size, truth, has_target=truth is not empty)
            for s in sentences
            for truth in [empty if s.text == "blue" and role == "train" else s.truth]
        ]
        for role, sentences in fields.items()
    }
    settings = RefcocoSettings(mode="probe", steps=1)
    with_nothing = PROTOCOL.score(settings, inputs(annotations=said)).details["baselines"]
    kept = {"train": [s for s in fields["train"] if s.text != "blue"], "test": fields["test"]}
    assert with_nothing == PROTOCOL.score(settings, inputs(annotations=kept)).details["baselines"]


def test_a_probe_learns_where_the_named_colour_is_and_beats_both_baselines(monkeypatch):
    """With a short warm-up and small batches, so that few steps are enough; test_recipes.py holds the recipe itself."""
    monkeypatch.setattr(mask_head, "WARMUP", 5)
    monkeypatch.setattr(mask_head, "BATCH", 32)
    scores = PROTOCOL.score(RefcocoSettings(mode="probe", steps=40), inputs())
    assert value(scores) > 0.9
    baselines = scores.details["baselines"]
    assert baselines["all_foreground_overall_iou"] == pytest.approx(1 / 12)
    assert baselines["mean_box_overall_iou"] < 0.15
    assert scores.details["recipe"] == 1 and scores.details["num_train"] == 180


def test_a_probe_is_the_same_twice_and_other_with_another_seed():
    settings = RefcocoSettings(mode="probe", steps=5)
    first, again = (PROTOCOL.score(settings, inputs()) for _ in range(2))
    assert first.samples == again.samples
    assert PROTOCOL.score(settings, inputs(seed=1)).samples["prediction"] != first.samples["prediction"]


def test_zero_shot_cuts_similarity_where_train_says():
    scores = PROTOCOL.score(RefcocoSettings(mode="zeroshot"), inputs())
    assert value(scores) > 0.6  # a bilinear bump over a square cell cannot be exact
    assert scores.details["recipe"] == 1
    assert 0 < scores.details["threshold"] < 1 and scores.details["inside"] == "above"
    assert value(scores) > 3 * max(scores.details["baselines"].values())


def test_patches_that_are_less_similar_inside_serve_as_well():
    expected = PROTOCOL.score(RefcocoSettings(mode="zeroshot"), inputs())
    opposite = PROTOCOL.score(RefcocoSettings(mode="zeroshot"), inputs(encode_texts=lambda texts: -encode_texts(texts)))
    assert opposite.details["inside"] == "below"
    assert opposite.details["threshold"] == pytest.approx(-expected.details["threshold"], abs=0.005)
    assert value(opposite) == pytest.approx(value(expected), abs=0.01)


def test_what_all_patches_and_all_sentences_share_changes_no_zero_shot_mask():
    """Rows of nearly one direction, as in a joint space with a gap between its modalities."""
    shift = 20 * np.array([1, -2, 3], np.float32)
    moved = {role: Features(part.array + shift, part.keys) for role, part in inputs().images.items()}
    scores = PROTOCOL.score(RefcocoSettings(mode="zeroshot"), inputs(images=moved))
    assert value(scores) > 0.5


def test_the_cut_is_that_of_a_slow_search():
    import torch

    from mlcd_eval.protocols.refcoco.mask_similarity import learn_similarity

    chance = torch.Generator().manual_seed(0)
    patches = torch.randn(40, 8, 8, 5, generator=chance)
    text = torch.nn.functional.normalize(torch.randn(40, 5, generator=chance), dim=1)
    truth = torch.rand(40, 64, 64, generator=chance).round()
    sizes = [(30, 40) if number % 2 else (40, 40) for number in range(40)]
    similarity = learn_similarity(lambda index: (patches[index], text[index]), lambda index, side: truth[index], sizes)
    fine = torch.nn.functional.interpolate(similarity.cosines(patches, text)[:, None], size=(64, 64), mode="bilinear")[
        :, 0
    ]
    fine[1::2, 48:], truth[1::2, 48:] = float("nan"), 0  # below an image of 30 x 40

    def iou(sign, cut):
        mask = sign * fine > sign * cut
        return (mask * truth).sum() / (mask | (truth > 0)).sum()

    best = max(iou(sign, cut) for sign in (1, -1) for cut in torch.linspace(-1, 1, 1001))
    assert iou(similarity.sign, similarity.threshold).item() == pytest.approx(best.item(), abs=1e-4)


def test_the_cells_that_an_image_covers_of_the_square():
    from mlcd_eval.protocols.refcoco.mask_similarity import _shown

    low, high = _shown([(30, 40), (400, 100)]).numpy()
    assert low[:48].all() and not low[48:].any() and high[:, :16].all() and not high[:, 16:].any()


def test_requests_and_modes():
    splits = ("train", "val", "testA")
    probe = RefcocoSettings(split="testA", mode="probe")
    assert PROTOCOL.requests(probe, splits) == {
        "train": ImageRequest("train", "patches", letterbox=True),
        "test": ImageRequest("testA", "patches", letterbox=True),
    }
    zeroshot = RefcocoSettings(split="val", mode="zeroshot")
    assert {request.layer for request in PROTOCOL.requests(zeroshot, splits).values()} == {"projected_patches"}
    assert PROTOCOL.requests(RefcocoSettings(split="val", mode="native"), splits) == {}
    assert PROTOCOL.scored_split(RefcocoSettings(), ("train", "val")) == "val"
    with pytest.raises(IncompatibleError, match="scores one split: got train, val, testA, expected"):
        PROTOCOL.requests(RefcocoSettings(), splits)
    with pytest.raises(IncompatibleError, match="reads the split 'testC'"):
        PROTOCOL.requests(RefcocoSettings(split="testC"), splits)
    with pytest.raises(IncompatibleError, match="learns from train"):
        PROTOCOL.requests(RefcocoSettings(mode="probe"), ("val",))


def test_what_a_model_can_serve():
    bare, blind, segments = TinyEncoder().info, TinyEncoder(has_text=False).info, red_finder().info
    assert PROTOCOL.for_model(RefcocoSettings(), bare).mode == "probe"
    assert PROTOCOL.for_model(RefcocoSettings(), segments).mode == "native"
    assert PROTOCOL.for_model(RefcocoSettings(text_encoder="x"), blind).mode == "probe"
    with pytest.raises(IncompatibleError, match=r"probe needs a text tower: .* \(set settings.text_encoder"):
        PROTOCOL.for_model(RefcocoSettings(), blind)
    with pytest.raises(IncompatibleError, match="which makes no masks"):
        PROTOCOL.for_model(RefcocoSettings(mode="native"), bare)


def test_features_that_are_no_numbers_and_lost_images_are_refused():
    features, said = scenes(2, 0)
    broken = features.array.copy()
    broken[1, 0, 0, 0] = np.nan
    images = {"train": Features(broken, features.keys), "test": features}
    with pytest.raises(DataError, match="patch features of train"):
        PROTOCOL.score(
            RefcocoSettings(mode="probe", steps=1), inputs(images=images, annotations={"train": said, "test": said})
        )
    images = {"train": Features(features.array[:1], ["0"]), "test": features}
    with pytest.raises(DataError, match="3 of 6 annotations are of images that cannot be read, first '1'"):
        PROTOCOL.score(
            RefcocoSettings(mode="probe", steps=1), inputs(images=images, annotations={"train": said, "test": said})
        )


@pytest.mark.parametrize("size", [(24, 32), (32, 24), (40, 40), (7, 50)])
def test_masks_to_the_square_and_back(size):
    mask = np.zeros(size, bool)
    mask[: size[0] // 2, : size[1] // 2] = True
    square = to_square([encode(mask)], 2 * max(size))[0]
    assert np.array_equal(from_square(square - 0.5, size), mask)
    area = to_square([encode(mask)], 4)[0].mean().item()  # cells of unequal size where 4 does not divide the side
    assert area == pytest.approx(mask.sum() / max(size) ** 2, rel=1e-6 if max(size) % 4 == 0 else 0.1)
