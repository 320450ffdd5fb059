"""What is kept of samples is all that the metrics are made of: each protocol's values come again from its samples, as
--log-samples writes them, and with their intervals from its outcomes, which every record has."""

import json

import numpy as np
import pytest
from clip_inputs import moving
from conftest import make_result
from point_inputs import corresponding
from protocol_inputs import features, measured, mixture, parted, prompted_segments, rng, segmented, text_encoder, values

from mlcd_eval.data.annotations import Association, Expression, GeneralizedExpression, Pairs, Question, Search
from mlcd_eval.metrics.segmentation import encode
from mlcd_eval.metrics.table import measure, metric_value
from mlcd_eval.protocols.association import AssociationProtocol, AssociationSettings
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.classification.knn import KNN, KNNSettings
from mlcd_eval.protocols.classification.linear_probe import LinearProbe, LinearProbeSettings
from mlcd_eval.protocols.classification.zeroshot import ZeroShot, ZeroShotSettings
from mlcd_eval.protocols.clustering import Clustering, ClusteringSettings
from mlcd_eval.protocols.compositionality import Compositionality, CompositionalitySettings
from mlcd_eval.protocols.correspondence.protocol import Correspondence, CorrespondenceSettings
from mlcd_eval.protocols.docvqa.protocol import DocVQA, DocVQASettings
from mlcd_eval.protocols.geometry.depth_linear import DepthLinear, DepthLinearSettings
from mlcd_eval.protocols.geometry.normals_linear import NormalsLinear, NormalsLinearSettings
from mlcd_eval.protocols.instance_retrieval.protocol import InstanceRetrieval, InstanceRetrievalSettings
from mlcd_eval.protocols.refcoco.protocol import Refcoco, RefcocoSettings
from mlcd_eval.protocols.regions.region_classification import RegionClassification
from mlcd_eval.protocols.regions.region_retrieval import RegionRetrieval, RegionRetrievalSettings
from mlcd_eval.protocols.regions.settings import RegionClassificationSettings
from mlcd_eval.protocols.retrieval.protocol import Retrieval
from mlcd_eval.protocols.retrieval.settings import RetrievalSettings
from mlcd_eval.protocols.segmentation.seg_knn import SegKNN, SegKNNSettings
from mlcd_eval.protocols.segmentation.seg_linear import SegLinear, SegLinearSettings
from mlcd_eval.protocols.segmentation.seg_zeroshot import SegZeroShot, SegZeroShotSettings
from mlcd_eval.protocols.tracking.protocol import Tracking, TrackingSettings
from mlcd_eval.records import ResultStore, read_outcomes
from mlcd_eval.records.result import plain


def splits(c):
    train, test = mixture(sizes=(60, 40), c=c)
    return {"train": train, "test": test}


def probe(c=6, **settings):
    return LinearProbe().score(LinearProbeSettings(lambda_=1.0, **settings), Inputs(splits(c)))


def knn():
    return KNN().score(KNNSettings(ks=(5, 20, 100)), Inputs(splits(6)))


def zeroshot(c=6, several_labels=False):
    test = splits(c)["test"]
    labels = (rng(1).random((40, c)) < 0.3).astype(int) if several_labels else test.labels
    names = [f"class {number}" for number in range(c)]
    vectors = dict(zip(names, rng(2).normal(size=(c, 8)), strict=True))
    inputs = Inputs({"test": features(test.array, labels)}, text_encoder(vectors), names, ["{c}"])
    return ZeroShot().score(ZeroShotSettings(), inputs)


def several_labels():
    labels = [(rng(seed).random((n, 3)) < 0.4).astype(int) for seed, n in ((3, 60), (4, 40))]
    parts = {
        role: features(splits(6)[role].array, of_role) for role, of_role in zip(("train", "test"), labels, strict=True)
    }
    return LinearProbe().score(LinearProbeSettings(lambda_=1.0), Inputs(parts))


def retrieval(**settings):
    texts = [tuple(f"{row}/{n}" for n in range(row % 3)) for row in range(30)]
    vectors = {text: rng(list(text.encode())).normal(size=8) for captions in texts for text in captions}
    images = features(rng(5).normal(size=(30, 8)), texts=texts)
    return Retrieval().score(
        RetrievalSettings(ks=(1, 3, 10), **settings), Inputs({"test": images}, text_encoder(vectors))
    )


def refcoco():
    masks = rng(6).random((2, 20, 6, 8)) < 0.4
    truths = [Expression(n, n, f"image {n // 2}", "red", (6, 8), encode(mask)) for n, mask in enumerate(masks[0])]
    predictions = {n: encode(mask) for n, mask in enumerate(masks[1])}
    inputs = Inputs(images={}, annotations={"test": truths}, predictions=predictions)
    return Refcoco().score(RefcocoSettings(mode="native"), inputs)


def generalized():
    masks = rng(7).random((2, 20, 6, 8)) < 0.4
    masks[0, ::4] = masks[1, ::8] = False  # no target; an empty answer to every other of these
    truths = [
        GeneralizedExpression(n, n, f"image {n // 2}", "red", (6, 8), encode(mask), n % 4 > 0)
        for n, mask in enumerate(masks[0])
    ]
    predictions = {n: encode(mask) for n, mask in enumerate(masks[1])}
    inputs = Inputs(images={}, annotations={"test": truths}, predictions=predictions)
    return Refcoco().score(RefcocoSettings(mode="native"), inputs)


def clustering():
    return Clustering().score(ClusteringSettings(), Inputs({"test": splits(3)["test"]}))


def instances():
    test = splits(3)["test"]
    return InstanceRetrieval().score(InstanceRetrievalSettings(clusters=True, ks=(1, 3)), Inputs({"test": test}))


def instances_of_lists():
    queries, gallery = features(rng(10).normal(size=(12, 8))), features(rng(11).normal(size=(30, 8)))
    drawn = [[f"im{row}" for row in rng([12, n]).permutation(30)] for n in range(12)]
    searches = [Search(f"im{n}", tuple(of[:2]), tuple(of[2 : 2 + n % 3]), ("im0",)) for n, of in enumerate(drawn)]
    inputs = Inputs({"gallery": gallery, "test": queries}, annotations={"test": searches, "gallery": []})
    return InstanceRetrieval().score(InstanceRetrievalSettings(), inputs)


def correspondence():
    return Correspondence().score(CorrespondenceSettings(), corresponding())


def tracking():
    return Tracking().score(TrackingSettings(), moving(frames=8, noise=1.5))


def depth_linear():
    return DepthLinear().score(DepthLinearSettings(), measured("depth"))


def normals_linear():
    return NormalsLinear().score(NormalsLinearSettings(), measured("normals"))


def seg_linear():
    return SegLinear().score(SegLinearSettings(lambda_=1.0), segmented())


def seg_knn():
    return SegKNN().score(SegKNNSettings(), segmented())


def region_classification(**settings):
    chosen = RegionClassificationSettings.model_validate(settings)
    return RegionClassification().score(chosen, parted(noise=1.5))


def region_retrieval():
    return RegionRetrieval().score(RegionRetrievalSettings(), parted(noise=1.5))


def seg_zeroshot():
    return SegZeroShot().score(SegZeroShotSettings(), prompted_segments())


def compositionality():
    texts = [f"text {n}" for n in range(40)]
    vectors = dict(zip(texts, rng(8).normal(size=(40, 8)), strict=True))
    images = features(rng(9).normal(size=(20, 8)))
    items = [
        Pairs(str(n), (images.keys[2 * n], images.keys[2 * n + 1]), tuple(texts[2 * n : 2 * n + 2]), "swap")
        for n in range(10)
    ]
    inputs = Inputs({"test": images}, text_encoder(vectors), annotations={"test": items})
    return Compositionality().score(CompositionalitySettings(), inputs)


def association():
    cues = [f"Cue {n}" for n in range(20)]
    vectors = {f"A {cue.lower()}": vector for cue, vector in zip(cues, rng(12).normal(size=(20, 8)), strict=True)}
    images = features(rng(13).normal(size=(60, 8)))
    boards = [[f"im{row}" for row in rng([14, n // 2]).permutation(60)[: 6 + 4 * (n // 2 % 2)]] for n in range(20)]
    items = [
        Association(f"{n}", cue, tuple(board), tuple(row < 3 for row in range(len(board))))
        for n, (cue, board) in enumerate(zip(cues, boards, strict=True))
    ]
    inputs = Inputs({"test": images}, text_encoder(vectors), annotations={"test": items})
    return AssociationProtocol().score(AssociationSettings(), inputs)


def docvqa(metric):
    words = ["ink", "inks", "1990", "1991", "paper"]
    questions = [Question(n, f"p{n}", f"d{n // 3}", "What?", (words[n % 5],), ("form",)) for n in range(20)]
    predictions = {n: words[n % 4] for n in range(20)}
    inputs = Inputs(images={}, annotations={"test": questions}, predictions=predictions)
    return DocVQA().score(DocVQASettings(mode="native", metric=metric), inputs)


CASES = {
    "linear_probe": probe,
    "linear_probe, two classes": lambda: probe(c=2),
    "linear_probe, few shots": lambda: probe(shots=2, trials=3),
    "linear_probe, several labels": several_labels,
    "knn": knn,
    "zeroshot": zeroshot,
    "zeroshot, two classes": lambda: zeroshot(c=2),
    "zeroshot, several labels": lambda: zeroshot(several_labels=True),
    "retrieval": retrieval,
    "refcoco": refcoco,
    "retrieval, whole rankings": lambda: retrieval(metric="ndcg"),
    "refcoco, generalized": generalized,
    "clustering": clustering,
    "compositionality": compositionality,
    "association": association,
    "instance_retrieval": instances,
    "instance_retrieval, lists": instances_of_lists,
    "correspondence": correspondence,
    "tracking": tracking,
    "depth_linear": depth_linear,
    "normals_linear": normals_linear,
    "region_classification": lambda: region_classification(lambda_=1.0),
    "region_classification, prompts": lambda: region_classification(mode="zeroshot"),
    "region_retrieval": region_retrieval,
    "seg_knn": seg_knn,
    "seg_linear": seg_linear,
    "seg_zeroshot": seg_zeroshot,
    "docvqa, anls": lambda: docvqa("anls"),
    "docvqa, relaxed_accuracy": lambda: docvqa("relaxed_accuracy"),
    "docvqa, vqa_accuracy": lambda: docvqa("vqa_accuracy"),
}


@pytest.mark.parametrize("case", CASES)
def test_every_value_comes_again_from_the_samples(case):
    scores = CASES[case]()
    assert len({len(column) for column in scores.samples.values()}) == 1
    samples = json.loads(json.dumps(plain(scores.samples)))
    defined = {name: value for name, value in values(scores).items() if value is not None}
    assert {name: metric_value(name, samples) for name in defined} == defined  # to the last bit
    assert len(set(defined.values()) - {0.0, 1.0}) >= min(2, len(defined))  # of nothing trivial
    assert all(np.isfinite(metric.ci95).all() for metric in scores.metrics if metric.value is not None)


@pytest.mark.parametrize("case", CASES)
def test_every_value_and_interval_comes_again_from_the_outcomes(case, tmp_path):
    scores = CASES[case]()
    store = ResultStore(tmp_path)
    result = store.write(make_result(metrics=scores.metrics), scores.samples)
    columns = read_outcomes(store.path(result), result).columns
    assert columns["key"] == plain(scores.samples["key"])
    for metric in scores.metrics:
        if metric.value is not None:
            again = measure(metric.name, columns, 0)
            assert (again.value, again.ci95) == (metric.value, metric.ci95), metric.name  # to the last bit
    if "prediction" in columns:
        assert np.array(columns["prediction"], object).tolist() == plain(scores.samples["prediction"])
    assert not {"expression", "truth", "answer", "answers", "question", "texts"} & set(columns)
