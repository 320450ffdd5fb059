"""Small inputs of every protocol, whose numbers are kept (protocols/golden)."""

import dataclasses

import numpy as np
import torch
from clip_inputs import moving
from PIL import Image
from point_inputs import corresponding
from protocol_inputs import measured as of_pixels
from protocol_inputs import parted, prompted_segments, segmented

from mlcd_eval.data import rendered
from mlcd_eval.data.annotations import Association, Expression, Pairs, Question, Search
from mlcd_eval.metrics.segmentation import encode
from mlcd_eval.protocols.base import Features, Inputs

CLASSES = 6
EXACT = 1e-6
TRAINED = 0.02  # of a head that is trained by gradient steps, which other processors round otherwise


def labelled(count, seed, multilabel=False, classes=CLASSES):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = np.random.default_rng(99).normal(size=(classes, 8))
    array = (centres[labels] + rng.normal(0, 1.2, (count, 8))).astype(np.float32)
    if multilabel:
        labels = (np.eye(classes, dtype=np.int64)[labels] + (rng.random((count, classes)) < 0.2)).clip(max=1)
    return Features(array, [f"{seed}_{row}" for row in range(count)], labels)


def classified(**options):
    images = {"train": labelled(90, 0, **options), "test": labelled(60, 1, **options)}
    return Inputs(images=images, class_names=[f"class {number}" for number in range(options.get("classes", CLASSES))])


def letters(texts):
    """A text's feature: random directions of its letters."""
    directions = np.random.default_rng(5).normal(size=(128, 8)).astype(np.float32)
    return np.stack([directions[[ord(letter) % 128 for letter in text]].sum(axis=0) for text in texts])


def prompted(**options):
    inputs = classified(**options)
    return Inputs(inputs.images, letters, inputs.class_names, ["a photo of a {c}.", "{c}"], "made up")


def captioned():
    rng = np.random.default_rng(7)
    texts = [tuple(f"caption {image} {n} {rng.integers(1000)}" for n in range(1 + image % 3)) for image in range(40)]
    meaning = np.stack([letters(captions).mean(axis=0) for captions in texts])
    array = (meaning + rng.normal(0, 2.5, meaning.shape)).astype(np.float32)
    return Inputs({"test": Features(array, [str(image) for image in range(40)], texts=texts)}, letters)


def chosen(images, texts):
    """Items of this many images and texts, of which those in the same place have much in common."""
    rng = np.random.default_rng(11)
    words = [[f"item {item} {rng.integers(1000)} {text}" for text in range(texts)] for item in range(40)]
    keys = [[f"{item}_{image}" for image in range(images)] for item in range(40)]
    own = letters([words[item][min(image, texts - 1)] for item in range(40) for image in range(images)])
    array = (own + rng.normal(0, 4, own.shape)).astype(np.float32)
    items = [Pairs(f"{item}", tuple(keys[item]), tuple(words[item]), "ab"[item % 2]) for item in range(40)]
    return Inputs(
        {"test": Features(array, [key for of_item in keys for key in of_item])}, letters, annotations={"test": items}
    )


def searched():
    """Queries that look for images near them, and a gallery with some that do not count."""
    rng = np.random.default_rng(12)
    gallery = rng.normal(size=(60, 8)).astype(np.float32)
    keys, names = [f"q{query}" for query in range(20)], [f"g{row}" for row in range(60)]
    lists = [[names[row] for row in rng.permutation(60)[:12]] for _ in keys]
    meant = np.stack([gallery[[names.index(name) for name in listed[:8]]].mean(axis=0) for listed in lists])
    array = (meant + rng.normal(0, 0.4, meant.shape)).astype(np.float32)
    searches = [Search(key, tuple(of[:3]), tuple(of[3:8]), tuple(of[8:])) for key, of in zip(keys, lists, strict=True)]
    images = {"gallery": Features(gallery, names), "test": Features(array, keys)}
    return Inputs(images, annotations={"test": searches, "gallery": []})


def associated():
    """Cues that are somewhat like some of their candidates, two cues to a board."""
    rng = np.random.default_rng(13)
    cues = [f"cue {number} {rng.integers(1000)}" for number in range(40)]
    array, items = rng.normal(0, 3, (400, 8)).astype(np.float32), []
    for number, cue in enumerate(cues):
        board = np.arange(10 * (number // 2), 10 * (number // 2) + (5, 10)[number // 2 % 2])
        chosen = rng.permutation(len(board)) < 2
        array[board[chosen]] += 0.2 * letters([f"A {cue}"])
        items.append(Association(f"{number}", cue, tuple(map(str, board)), tuple(chosen.tolist())))
    return Inputs({"test": Features(array, [str(row) for row in range(400)])}, letters, annotations={"test": items})


COLOURS = {"red": 0, "green": 1, "blue": 2}


def scenes(count, seed):
    """Images of 24 x 32 pixels with one patch of each colour on a 4 x 4 grid, one sentence per colour."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 0.4, (count, 4, 4, 3)).astype(np.float32)
    expressions = []
    for image in range(count):
        for name, place in zip(COLOURS, rng.choice(12, size=3, replace=False), strict=True):
            row, column = divmod(int(place), 4)
            features[image, row, column, COLOURS[name]] += 1
            mask = np.zeros((24, 32), bool)
            mask[8 * row : 8 * (row + 1), 8 * column : 8 * (column + 1)] = True
            number = len(expressions)
            expressions.append(Expression(number, number, str(image), name, (24, 32), encode(mask)))
    return Features(features, [str(image) for image in range(count)]), expressions


def referred(native):
    (train, train_sentences), (test, test_sentences) = scenes(40, 0), scenes(12, 1)
    rng = np.random.default_rng(2)
    masks = {one.sent_id: encode(rng.random((24, 32)) < 0.3) for one in test_sentences}
    masks[0], masks[1] = test_sentences[0].truth, test_sentences[1].truth
    return Inputs(
        images={} if native else {"train": train, "test": test},
        encode_texts=lambda texts: np.eye(3, dtype=np.float32)[[COLOURS[text] for text in texts]],
        annotations={"train": train_sentences, "test": test_sentences},
        predictions=masks if native else None,
    )


def asked():
    answers = [("Anna",), ("1990", "in 1990"), ("ink", "Ink."), ("12%",), ("3,000",), ("a red car",)]
    given = ["ANNA ", "in 1991", "paper", "12.5", "3000", "the red car"]
    questions = [Question(n, f"p{n // 2}", f"d{n // 2}", "?", known, ("form",)) for n, known in enumerate(answers)]
    return Inputs({}, annotations={"test": questions}, predictions=dict(enumerate(given)))


def shown(side=448):
    """Pages of words and a page with a question, as pixels in patches of 16 x 16."""
    pages = [rendered.ink(rendered.key_of(number)) for number in range(4)]
    grey = torch.tensor(np.stack([np.array(Image.fromarray(255 - page).resize((side, side))) for page in pages])) / 255
    patches = torch.nn.functional.pixel_unshuffle(grey[:, None], 16).permute(0, 2, 3, 1).numpy()
    keys = [rendered.key_of(number) for number in range(4)]
    words = [word for word in rendered.words() if word.image in keys]
    largest = max((word for word in words if word.image == keys[3]), key=lambda word: word.letter_height)
    heading = [word.text for word in words if word.image == keys[3] and word.box[1] == largest.box[1]]
    question = Question(0, "page", "page", "What is the title?", (*heading, " ".join(heading)), ("form",))
    images = {"rendered": Features(patches[:3], keys[:3]), "test": Features(patches[3:], ["page"])}
    words = [word for word in words if word.image != keys[3]]
    return Inputs(images, image_side=side, annotations={"rendered": words, "test": [question]})


def patched(**options):
    """Each image's feature as one of four patches, the others noise."""
    inputs, rng = classified(**options), np.random.default_rng(3)
    images = {}
    for role, features in inputs.images.items():
        array = rng.normal(0, 0.3, (len(features.keys), 2, 2, 8)).astype(np.float32)
        array[np.arange(len(array)), rng.integers(2, size=len(array)), rng.integers(2, size=len(array))] = (
            features.array
        )
        images[role] = dataclasses.replace(features, array=array)
    return dataclasses.replace(inputs, images=images)


CASES = {
    "attentive_probe": {
        "probe": ({"lr": 1e-3, "weight_decay": 0.01}, patched),
        "probe_onevision": ({"head": "onevision", "lr": 1e-3, "weight_decay": 0.0}, patched),
    },
    "knn": {
        "default": ({"ks": [5, 20]}, classified),
        "int8": ({"ks": [5, 20], "embedding": "int8"}, classified),
        "binary": ({"ks": [5, 20], "embedding": "binary"}, classified),
    },
    "linear_probe": {
        "search": ({}, classified),
        "holdout": ({"selection": "holdout"}, classified),
        "few_shot": ({"shots": 4, "trials": 3}, classified),
        "two_classes": ({"metric": "roc_auc"}, lambda: classified(classes=2)),
        "multilabel": ({}, lambda: classified(multilabel=True)),
        "int8": ({"embedding": "int8", "lambda_": 0.1}, classified),
        "probe_sgd": ({"sgd": {"layers": ["last_1/cls"], "learning_rates": [0.01, 1.0], "iterations": 30}}, classified),
    },
    "clustering": {"default": ({}, classified)},
    "compositionality": {
        "texts": ({}, lambda: chosen(1, 3)),
        "both": ({}, lambda: chosen(2, 2)),
        "images": ({"ties": "first"}, lambda: chosen(4, 1)),
    },
    "association": {"default": ({}, associated)},
    "instance_retrieval": {
        "labels": ({"clusters": True}, classified),
        "lists": ({"average_precision": "trapezoid"}, searched),
        "expansion": ({"expansion": {"images": 3}}, searched),
    },
    "zeroshot": {"single": ({}, prompted), "multilabel": ({}, lambda: prompted(multilabel=True))},
    "retrieval": {
        "default": ({}, captioned),
        "int8": ({"embedding": "int8"}, captioned),
        "mteb": ({"metric": "ndcg", "ties": "last"}, captioned),
    },
    "refcoco": {
        "native": ({"mode": "native"}, lambda: referred(native=True)),
        "zeroshot": ({"mode": "zeroshot"}, lambda: referred(native=False)),
        "probe": ({"mode": "probe", "steps": 60}, lambda: referred(native=False)),
    },
    "correspondence": {
        "pixels": ({}, corresponding),
        "patches": ({"match": "patches", "alphas": [0.2]}, corresponding),
    },
    "depth_linear": {
        "search": ({}, lambda: of_pixels("depth")),
        "fixed": (
            {"lambda_": 0.01, "target": "depth", "max_depth": 6.0, "crop": "kitti_garg"},
            lambda: of_pixels("depth"),
        ),
        "probe_bins": (
            {"bins": {"steps": 120, "learning_rate": 0.01}, "max_depth": 10.0},
            lambda: of_pixels("depth"),
        ),
    },
    "normals_linear": {"search": ({}, lambda: of_pixels("normals"))},
    "region_classification": {
        "search": ({}, lambda: parted(noise=1.5)),
        "parts": ({"pool": "box", "parts": 2, "lambda_": 1.0}, lambda: parted(noise=1.5)),
        "zeroshot": ({"mode": "zeroshot", "pool": "box"}, lambda: parted(noise=1.5)),
    },
    "region_retrieval": {
        "class": ({}, lambda: parted(noise=1.5)),
        "instance": ({"truth": "instance", "pool": "box", "regions": 20}, lambda: parted(noise=0.5)),
    },
    "seg_knn": {"default": ({}, segmented), "few": ({"k": 5, "patches": 200, "temperature": 0.1}, segmented)},
    "seg_linear": {"search": ({}, segmented), "fixed": ({"lambda_": 1.0, "patches": 200}, segmented)},
    "seg_zeroshot": {
        "default": ({}, prompted_segments),
        "background": ({}, lambda: prompted_segments(("background", "wall", "door"))),
    },
    "tracking": {"default": ({}, moving), "few": ({"frames": 1, "near": 2, "k": 2, "temperature": 0.5}, moving)},
    "docvqa": {
        **{
            metric: ({"mode": "native", "metric": metric}, asked)
            for metric in ("anls", "relaxed_accuracy", "vqa_accuracy")
        },
        "reading": ({"mode": "probe"}, shown),
    },
}
"""Protocol -> case -> settings and inputs."""
