"""WinoGAViL's Jaccard index against DataComp's statement of it (eval_utils/wino_eval.py at 4a8df199)."""

import numpy as np
import pytest
from protocol_inputs import features, text_encoder, values
from sklearn.metrics import jaccard_score

from mlcd_eval.data.annotations import Association
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.association import AssociationProtocol, AssociationSettings, prompted
from mlcd_eval.protocols.base import Inputs

COUNT = 40


def made(seed=0):
    """Cues of boards of 5, 6, 10 and 12 images, two to a board, each somewhat like its own images."""
    rng = np.random.default_rng(seed)
    array = rng.normal(size=(400, 8))
    items, table = [], {}
    for number in range(COUNT):
        size = (5, 6, 10, 12)[number // 2 % 4]
        board = np.arange(10 * (number // 2), 10 * (number // 2) + size)
        chosen = rng.permutation(size) < 2 + number % 3
        cue = f"{'aAbQ'[number % 4]} cue {number}"
        items.append(Association(f"q{number}", cue, tuple(f"im{row}" for row in board), tuple(chosen.tolist())))
        table[prompted(cue)] = array[board[chosen]].mean(axis=0) + rng.normal(size=8)
        table[cue] = rng.normal(size=8)
    return features(array), items, table


def score(image, items, table, **settings):
    inputs = Inputs({"test": image}, text_encoder(table), annotations={"test": items})
    return AssociationProtocol().score(AssociationSettings(**settings), inputs)


def reference(image, items, table):
    row = {key: vector / np.linalg.norm(vector) for key, vector in zip(image.keys, image.array, strict=True)}
    scores, sizes = [], []
    for item in items:
        logits = np.stack([row[key] for key in item.images]) @ table[prompted(item.text)]
        true = np.array(item.chosen)
        chosen = np.isin(np.arange(len(true)), np.argsort(logits)[-true.sum() :])
        scores.append(jaccard_score(true, chosen))
        sizes.append(len(true))
    scores, sizes = np.array(scores), np.array(sizes)
    return {
        "jaccard": scores.mean(),
        "jaccard@5-6": scores[sizes <= 6].mean(),
        "jaccard@10-12": scores[sizes >= 10].mean(),
    }


@pytest.mark.parametrize("seed", range(3))
def test_values_are_datacomps(seed):
    image, items, table = made(seed)
    assert values(score(image, items, table)) == pytest.approx(reference(image, items, table), abs=1e-12)


def test_the_article_is_datacomps():
    assert [prompted(cue) for cue in ("Apple", "ham", "UFO")] == ["An apple", "A ham", "An ufo"]


def test_the_record_says_what_chance_gives():
    image, items, table = made()
    scores = score(image, items, table, metric="jaccard@10-12", prompt="none")
    assert scores.primary == "jaccard@10-12" and set(scores.details["chance"]) == set(values(scores))
    assert 0 < scores.details["chance"]["jaccard@10-12"] < scores.details["chance"]["jaccard@5-6"] < 1
    assert scores.samples["board"][:4] == [0, 0, 1, 1] and scores.samples["candidates"][4] == "10-12"
    few = score(image, items[:4], table)
    assert set(values(few)) == {"jaccard", "jaccard@5-6"}


def test_what_cannot_be_scored_is_one_sentence():
    image, items, table = made()
    with pytest.raises(IncompatibleError, match="metric 'jaccard@10-12' has no cues"):
        AssociationProtocol().check_annotations(AssociationSettings(metric="jaccard@10-12"), "test", items[:4])
    AssociationProtocol().check_annotations(AssociationSettings(), "test", items[:4])
    inputs = Inputs({"test": features(image.array[:3])}, text_encoder(table), annotations={"test": items})
    with pytest.raises(DataError, match="got 0 of 40 cues whose images can be read"):
        AssociationProtocol().score(AssociationSettings(), inputs)
    with pytest.raises(IncompatibleError, match="reads the split 'test': got train"):
        AssociationProtocol().requests(AssociationSettings(), ["train"])
