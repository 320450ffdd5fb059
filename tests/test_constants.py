"""Numbers in the code that decide what is refused, drawn, kept or counted, and what a caller gets who leaves an
argument out: a change of one is a decision, not a slip.

Sizes of pieces, which only take time and memory, are not here. Recipes and settings have tests of their own
(protocols/test_recipes.py, protocols/test_settings.py, mlcd_train/test_sections.py).
"""

import inspect
from importlib import import_module

import pytest

from mlcd_eval.protocols.registry import get_protocol

GIB = 2**30
CONSTANTS = {
    # what is refused: docs/robustness.md and SECURITY.md tell users most of these
    "mlcd_eval.data.labels": {"MAX_CLASSES": 1_000_000},
    "mlcd_eval.data.sources.coco": {"LONGEST_SIDE": 32_768},
    "mlcd_eval.data.sources.coco_instances": {"LONGEST_SIDE": 32_768},
    "mlcd_eval.data.sources.csv_files": {"LONGEST_CELL": 2**20},
    "mlcd_eval.data.sources.long_texts": {"FIRST": 1000},
    "mlcd_eval.data.sources.multilingual": {"LARGEST_TEXT": 2**28},
    "mlcd_eval.data.sources.printed_words": {"MOST_PAGES": 1_000, "LONGEST_SIDE": 2_048},
    "mlcd_eval.data.sources.region_set": {"OUTSIDE": 1.0},
    "mlcd_eval.data.sources.point_layouts.navi": {"CANDIDATES": 500},
    "mlcd_eval.data.sources.point_layouts.navi_shots": {"DISPARITY": 655_350.0},
    "mlcd_eval.data.sources.point_layouts.part": {"POINTS": 10, "FEWEST": 20},
    "mlcd_eval.data.sources.refer": {"LONGEST_SIDE": 32_768},
    "mlcd_eval.data.sources.scene_views": {"GREY": 128, "MARGIN": 1.15, "LONGEST_SIDE": 512},
    "mlcd_eval.data.sources.video": {"FEWEST": 3},
    "mlcd_eval.data.sources.views": {"MOST_VIEWS": 1_000, "LONGEST_SIDE": 2_048},
    "mlcd_eval.data.sources.wds": {"MOST_SHARDS": 1_000_000},
    "mlcd_eval.data.storage.images": {"LARGEST": 4 * GIB, "MAX_RATIO": 1000},
    "mlcd_eval.data.storage.mat5": {"LARGEST": 2**24},
    "mlcd_eval.data.storage.nyu_mat": {"LARGEST_CHUNK": 2**28, "LONGEST_NAME": 1_000},
    "mlcd_eval.data.storage.remote": {"LARGEST_TEXT": 2**24},
    "mlcd_eval.data.storage.rle": {"FARTHEST": 1e6, "LONGEST_OUTLINE": 4e6, "MOST_PIXELS": 2**28},
    "mlcd_eval.data.storage.scene_files": {"LARGEST": GIB},
    "mlcd_eval.data.storage.scene_geometry": {"NEAR": 0.005},
    "mlcd_eval.data.storage.transfer": {
        "RETRIES": 4, "BACKOFF": 0.5, "LONGEST_WAIT": 60.0, "SLOWEST": 1000.0, "PATIENCE": 60.0,
    },
    "mlcd_eval.encoders.adapters.onnx": {"LONGEST_TEXT": 4096},
    "mlcd_eval.protocols.frame": {"LARGEST": 8192, "SHIFT": 2 / 3},
    "mlcd_eval.encoders.bounds": {"LARGEST_SIDE": 16_384, "MOST_PATCHES": 2**20},
    "mlcd_eval.encoders.torchscript": {"MOST_INFLATED": 2**26},
    "mlcd_eval.errors": {"LONGEST": 8_000, "LONGEST_WORD": 1_000},
    "mlcd_eval.features.letterbox": {"LARGEST": 8192},
    "mlcd_eval.imports.importing": {"LONGEST_NAME": 250, "SHOWN": 8},
    "mlcd_eval.imports.spreadsheet": {"LARGEST": 2**26, "MOST_CELLS": 10_000_000},
    "mlcd_eval.protocols.docvqa.ink": {"PENALTIES": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)},
    "mlcd_eval.support.documents": {
        "DEEPEST": 100, "LARGEST_JSON": 4 * GIB, "LARGEST_YAML": 2**24, "MOST_NODES": 1_000_000,
    },
    "mlcd_train.data.tars": {"LONGEST_TEXT": 2**16},
    "mlcd_train.class_rows": {"BLOCK": 2**14, "FEATURES": -(2**41)},
    "mlcd_train.clustering": {"PLUS_PLUS": 10**10, "KEPT": 0.1},
    # what lies on disks: another number makes everything that is there unreadable
    "mlcd_eval.features.pieces": {"SECONDS": 30.0},
    "mlcd_eval.features.predict": {"FORMAT_VERSION": 2},
    "mlcd_eval.features.store": {"FORMAT_VERSION": 2},
    "mlcd_eval.records.result": {"SCHEMA_VERSION": 1},
    "mlcd_train.labels": {"FORMAT_VERSION": 2, "BUCKETS": 2**16},
    "mlcd_train.plan": {"ENCODED": 40_000},
    "mlcd_train.state": {"FORMAT_VERSION": 1},
    # draws and levels, which tables and pages name
    "mlcd_eval.metrics.blind": {"FOLDS": 5},
    "mlcd_eval.metrics.interval": {"RESAMPLES": 1000},
    "mlcd_eval.metrics.paired": {"DRAWS": 10_000, "SLOW_DRAWS": 2_000},
    "mlcd_eval.metrics.power": {"LEVEL": 0.05, "POWER": 0.8},
    "mlcd_eval.metrics.shapley": {"MOST_EXACT": 8, "ORDERS": 128},
    "mlcd_eval.metrics.text": {"THRESHOLD": 0.5},
    "mlcd_eval.protocols.classification.by_chance": {"DRAWS": 10},
    "mlcd_eval.tables.comparison.pairing": {"SEED": 0},
    # what a protocol does where nothing is set
    "mlcd_eval.protocols.classification.cross_validation": {
        "FOLDS": 5, "PARTITIONS": 2, "TOO_MANY": 10_000, "SELECTIONS": 20, "BEHIND": 3.0, "FEWEST": 20, "WINDOW": 12,
    },
    "mlcd_eval.protocols.classification.draws": {"MTEB_SEED": 42},
    "mlcd_eval.protocols.classification.probe_rows": {"VTAB1K": (800, 200)},
    "mlcd_eval.protocols.classification.knn": {"PRIMARY_K": 20},
    "mlcd_eval.protocols.classification.logistic.problem": {"GLANCE": 3e-2, "_CAUTION": 10},
    "mlcd_eval.metrics.dense": {"BOUNDARY": 0.02},
    "mlcd_eval.metrics.tracking": {"REACH": 0.008, "RECALLED": 0.5},
    "mlcd_eval.protocols.correspondence.outcomes": {"ROTATIONS": (0, 30, 60, 90, 120, 180)},
    "mlcd_eval.metrics.correspondence": {"WITHIN": ("0.02", "0.01", "0.05")},
    "mlcd_eval.metrics.geometry": {"KITTI_BENCHMARK": (352, 1216), "WITHIN": ("11.25", "22.5", "30")},
    "mlcd_eval.protocols.geometry.bins_head": {
        "OFFSET": 0.1, "EPSILON": 1e-3, "MEAN_SHARE": 0.15, "UNVARIED": 100, "TOGETHER": 2, "CLIP": 35.0,
    },
    "mlcd_eval.protocols.geometry.bins_recipes": {
        "WARM_UP": 1 / 3, "FIRST": 1 / 1000, "MOMENTA": (0.85, 0.95), "LOWEST": 1 / 25_000, "LEAST": 1e-8,
        "FALLING": 0.3,
    },
    "mlcd_eval.protocols.geometry.controls": {
        "IMAGES": {"train": 90, "val": 30, "test": 60}, "GRID": (28, 28), "NOISE": 0.05, "LEAST": 0.6, "MARGIN": 0.1,
        "METRICS": {"depth": "delta1", "normals": "angle_within@11.25"},
    },
    "mlcd_eval.protocols.refcoco.baselines": {"BOX_IOU": 0.5},
    "mlcd_eval.protocols.regions.baselines": {"WAVES": 4, "THUMBNAIL": (24, 12)},
    "mlcd_eval.protocols.regions.controls": {
        "IMAGES": {"train": 90, "val": 30, "test": 60}, "GRID": (28, 28), "NOISE": 0.05, "LEAST": 0.5, "MARGIN": 0.1,
    },
    "mlcd_eval.protocols.regions.region_retrieval": {"MAP_AT": 100},
    "mlcd_eval.protocols.refcoco.controls": {"SHAPES": {"probe": (8, 8), "zeroshot": (32, 1)}},
    "mlcd_eval.protocols.segmentation.controls": {
        "IMAGES": {"train": 90, "val": 30, "test": 60}, "GRID": (28, 28), "NOISE": 0.05, "LEAST": 0.5, "MARGIN": 0.1,
    },
    "mlcd_eval.protocols.segmentation.token_classifier": {"SEARCH_TOLERANCE": 1e-3, "OUT_OF_REACH": 0.05},
    "mlcd_eval.protocols.segmentation.tokens": {"LEAST": 0.5},
    "mlcd_eval.protocols.shared.pixels": {"FINE": 4},
    "mlcd_eval.protocols.shared.plain_patches": {"BASELINE_IMAGES": 2000, "WAVES": 4},
    "mlcd_eval.protocols.classification.probe_settings": {"SWEPT": {"shots": (1, 2, 4, 8, 16, 32)}},
    "mlcd_eval.protocols.classification.probe_training": {"DEFAULT_LAMBDA": 1.0, "OUT_OF_REACH": 1.5},
    "mlcd_eval.protocols.classification.sweep": {"STEPS_PER_DECADE": 8, "MOST_CANDIDATES": 15},
    "mlcd_eval.protocols.retrieval.settings": {"CUT": 10},
    "mlcd_train.assignment": {"NONE": -1},
    "mlcd_train.start": {"TOLERANCE": 1e-3},
}  # fmt: skip
"""Module -> name -> value."""


@pytest.mark.parametrize("module", CONSTANTS)
def test_a_number_that_decides_changes_by_decision_only(module):
    there = vars(import_module(module))
    assert {name: there[name] for name in CONSTANTS[module]} == CONSTANTS[module]


NEW_TOKENS = {"max_new_tokens": 32}
SILENT = {
    "mlcd_eval.api:evaluate": {
        "deterministic": False, "seed": 0, "log_samples": False, "resume": True, "offline": False,
        "trust_remote_code": False, "allow_bad_images": 0, "skip_incompatible": False, "submit": False,
        "progress": False,
    },
    "mlcd_eval.data.open:open_dataset": {"offline": False},
    "mlcd_eval.data.scheme:DataScheme": {"is_slow": False, "splits_are_tasks": False},
    "mlcd_eval.data.scheme:SchemeOption": {"required": False},
    "mlcd_eval.data.sources.imagefolder:ImageFolder": {"held_out": 0.0},
    "mlcd_eval.encoders.adapters.hf.calls:images": {"resized": False},
    "mlcd_eval.encoders.adapters.hf.calls:mae": {"resized": False},
    "mlcd_eval.encoders.adapters.hf.encoder:HFEncoder": {"has_pooler": True},
    "mlcd_eval.encoders.adapters.vlm:VisionLanguageModel.answer": NEW_TOKENS,
    "mlcd_eval.encoders.adapters.vlmevalkit:VLMEvalKitModel.answer": NEW_TOKENS,
    "mlcd_eval.encoders.base:Encoder.answer": NEW_TOKENS,
    "mlcd_eval.encoders.sizes:sizes_of": {"patch": None},
    "mlcd_eval.protocols.shared.scored:patch_requests": {"frame": None},

    "mlcd_eval.encoders.families.choice:Choice": {"remote": False},
    "mlcd_eval.encoders.families.rows:Family": {
        "joint": False, "dense": False, "channels_last": False, "unit_pixels": False,
    },
    "mlcd_eval.encoders.families.rows:Text": {"full": False, "mask": True},
    "mlcd_eval.encoders.kinds:EncoderKind": {"probed": True, "version": 1, "is_function": False},
    "mlcd_eval.encoders.layers:BlockInfo": {"depth": 0, "width": 0},
    "mlcd_eval.encoders.objects:GivenEncoder.answer": NEW_TOKENS,
    "mlcd_eval.encoders.registry:load_encoder": {"trust_remote_code": False, "offline": False},
    "mlcd_eval.encoders.registry:parse": {"trust_remote_code": False, "offline": False},
    "mlcd_eval.encoders.spec:Spec": {"trust_remote_code": False, "offline": False},
    "mlcd_eval.encoders.state_dicts:StateDict": {"of_openai": False},
    "mlcd_eval.encoders.towers.vit:Block": {"eps": 1e-05},
    "mlcd_eval.encoders.towers.vit:Block.forward": {"causal": False},
    "mlcd_eval.features.decode:batches": {"held": 2, "pinned": False},
    "mlcd_eval.features.encode:EncodeOptions": {
        "precision": "fp32", "batch_size": None, "workers": 0, "limit": None, "allow_bad_images": 0,
        "tolerance_setting": "--allow-bad-images",
    },
    "mlcd_eval.features.lazy:LazyEncoder.answer": NEW_TOKENS,
    "mlcd_eval.features.lazy:open_encoder": {"trust_remote_code": False, "offline": False},
    "mlcd_eval.features.lazy:remembered_info": {"trust_remote_code": False, "offline": False},
    "mlcd_eval.features.loading:Loading": {"held": 2, "pinned": False},
    "mlcd_eval.features.predict:predict": {"batch_size": 1, "max_new_tokens": 32},
    "mlcd_eval.features.wrapped:WrappedEncoder.answer": NEW_TOKENS,
    "mlcd_eval.imports.answers:QuestionSet": {"several": True},
    "mlcd_eval.imports.imported_task:ImportedTask": {"seed": 0},
    "mlcd_eval.imports.lm_results:Unit": {"top": 1},
    "mlcd_eval.imports.values:fraction": {"per_cent": False},
    "mlcd_eval.metrics.calibration:calibration_samples": {"temperature": 1.0},
    "mlcd_eval.metrics.interval:bootstrap": {"resamples": 1000},
    "mlcd_eval.metrics.interval:bootstrap_class_means": {"resamples": 1000},
    "mlcd_eval.metrics.interval:bootstrap_sums": {"resamples": 1000},
    "mlcd_eval.metrics.kind:MetricKind": {"higher_is_better": True},
    "mlcd_eval.metrics.paired:permutation": {"draws": 10_000},
    "mlcd_eval.metrics.power:mcnemar_detectable": {"power": 0.8},
    "mlcd_eval.metrics.power:mcnemar_images": {"power": 0.8},
    "mlcd_eval.metrics.power:t_detectable": {"power": 0.8},
    "mlcd_eval.metrics.power:t_images": {"power": 0.8},
    "mlcd_eval.metrics.search:compare": {"all_queries": False},
    "mlcd_eval.metrics.segmentation:sample_iou": {"has_target": True},
    "mlcd_eval.metrics.shapley:shapley": {"seed": 0},
    "mlcd_eval.metrics.table:measure": {"num_unscored": 0, "defined": True},
    "mlcd_eval.metrics.text:relaxed_accuracy": {"tolerance": 0.05},
    "mlcd_eval.planning.job:resolved": {"submit": False},
    "mlcd_eval.protocols.base:ImageRequest": {"letterbox": False, "exif": False},
    "mlcd_eval.protocols.base:Inputs": {"seed": 0, "image_side": 0},
    "mlcd_eval.protocols.base:Needs": {"texts": False, "class_prompts": False, "max_new_tokens": 32},
    "mlcd_eval.protocols.classification.controls:label_controls": {"grid": False},
    "mlcd_eval.protocols.classification.labelled:split_requests": {"exif": False},
    "mlcd_eval.protocols.classification.logistic.problem:LogisticProblem.fit": {
        "tolerance": 1e-06, "max_iterations": 1000,
    },
    "mlcd_eval.protocols.classification.probe_training:TrainingSet": {"spread": True, "keeps_logits": False},
    "mlcd_eval.protocols.classification.probe_training:train_probe": {"seed": 0, "all_rows": True},
    "mlcd_eval.protocols.classification.temperature:log_losses": {"temperature": 1.0},
    "mlcd_eval.protocols.dialects:ProtocolDialect": {"explains": True},
    "mlcd_eval.protocols.docvqa.legibility:word_accuracy": {"least": 0},
    "mlcd_eval.records.pending:dataset_record": {"encodes_images": True, "reads_images": True},
    "mlcd_eval.records.pending:pending_record": {"seed": 0},
    "mlcd_eval.records.store:ResultStore.done": {"with_samples": False},
    "mlcd_eval.running.executors.base:GroupExecutor": {"group_cpus": 1},
    "mlcd_eval.running.executors.ray:RayExecutor": {"group_cpus": 1},
    "mlcd_eval.running.executors.slurm:SlurmExecutor": {"group_cpus": 1},
    "mlcd_eval.running.explaining.lattice:open_lattice": {"allow_code": False},
    "mlcd_eval.running.rerun:rerun": {"allow_code": False},
    "mlcd_eval.support.hub:HubContact": {"connect": 3.0, "read": 4.0},
    "mlcd_eval.support.progress:ConsoleProgress": {"verbose": False, "interval": 30.0},
    "mlcd_eval.support.progress:ConsoleProgress.stage": {"lasting": True},
    "mlcd_eval.support.progress:Progress.stage": {"lasting": True},
    "mlcd_eval.support.resident:Rows": {"keep": True},
    "mlcd_eval.tables.boards.leaderboard:Cell": {"decimals": 2},
    "mlcd_eval.tables.boards.leaderboard:Column": {"higher_is_better": True},
    "mlcd_eval.tables.boards.leaderboard:Row": {"published": False},
    "mlcd_eval.tables.comparison.contest:Contest.leading": {"tests": True},
    "mlcd_eval.tables.explaining.explain:explain": {"search": False},
    "mlcd_eval.tables.formats:TableFormat": {"one_model": False, "for_others": False},
    "mlcd_eval.tables.formats:render": {"allow_partial": False},
    "mlcd_eval.tables.hub:push_to_hub": {"dry_run": False, "allow_partial": False},
    "mlcd_eval.tables.published.number:PublishedNumber": {"higher_is_better": True},
    "mlcd_eval.tables.published.query:_row_filter": {"whole": False},
    "mlcd_eval.tables.published.standing:frontier": {"higher_is_better": True},
    "mlcd_eval.tables.submissions.receivers:Receiver": {"one_model": False, "marks_partial": False},
    "mlcd_eval.tables.submissions.receivers:prepare": {"allow_partial": False},
    "mlcd_eval.tables.submissions.submission:Request": {"allow_partial": False},
    "mlcd_eval.tables.submissions.submission:submittable": {"allow_partial": False},
    "mlcd_eval.tables.text:markdown_table": {"left": 1},
    "mlcd_eval.tables.text:shown": {"decimals": 2},
    "mlcd_train.centres:ClassCentres": {
        "margin": 0.3, "scale": 64.0, "drawn_only": False, "margin_kind": "angular",
        "margin_gradient": "straight_through", "threshold": None, "filtered": "left_out",
    },
    "mlcd_train.class_rows:ClassRows": {
        "ratio": 0.1, "seed": 0, "positives_count": False, "linear": False, "feature_share": 1.0,
    },
    "mlcd_train.class_rows:ClassRows.update": {"eps": 1e-08, "weight_decay": 0.0, "grad_scale": 1.0},
    "mlcd_train.clustering:spherical_kmeans": {
        "iterations": 20, "tolerance": 0.0001, "start": "sample", "batch": None, "device": "cpu", "products": "fp32",
        "search": "exact",
    },
    "mlcd_train.config:load_config": {"allow_pipes": False},
    "mlcd_train.data.batches:Share": {"rank": 0, "world_size": 1},
    "mlcd_train.data.decoders:Load": {"min_side": 1},
    "mlcd_train.data.source:TrainSplit": {"captions": False},
    "mlcd_train.losses:clip_loss": {"first": 0},
    "mlcd_train.losses:sigmoid_contrast_loss": {"first": 0},
    "mlcd_train.objectives.base:Needs": {"clusters": False, "one_label": False, "captions": False},
    "mlcd_train.plan:Plan": {"gpus": 1},
}  # fmt: skip
"""Module:function or class -> argument -> what it is if left out."""


@pytest.mark.parametrize("name", SILENT)
def test_what_is_left_out_changes_by_decision_only(name):
    module, _, path = name.partition(":")
    called = import_module(module)
    for part in path.split("."):
        called = getattr(called, part)
    arguments = inspect.signature(called).parameters
    assert {key: arguments[key].default for key in SILENT[name]} == SILENT[name]


TURNED, LAYERS = {"exif": (False, True)}, {"layer": ("penultimate", "projected")}
VARIED = {
    "knn": {**LAYERS, **TURNED},
    "linear_probe": {
        **LAYERS, **TURNED, "normalise": (False, True), "shots": (None, 16),
        "draw": ("stratified", "mteb", "clip_benchmark"), "c": (None, 1.0),
    },
    "clustering": {**LAYERS, **TURNED, "normalise": (False, True)},
    "zeroshot": {
        "templates": (None, "clip", "imagenet7", "mteb", ("a photo of a {c}.",), "first", "none"),
        "class_names": (None, "clip", "mteb", "wordnet", "words"), "metric": (None, "acc1", "mean_per_class_recall"),
        **TURNED,
    },
    "compositionality": {"ties": ("wrong", "first"), **TURNED},
    "instance_retrieval": {**LAYERS, **TURNED, "average_precision": ("step", "trapezoid")},
    "retrieval": {"captions_per_image": (None, 5), "ties": ("first", "last"), **TURNED},
}  # fmt: skip


@pytest.mark.parametrize("name", VARIED)
def test_what_an_explanation_varies(name):
    assert get_protocol(name).factors == VARIED[name]
