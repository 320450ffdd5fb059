"""Starts that are not random: other libraries' weights, an earlier training's state; what learns, and how fast."""

import json

import pytest
import timm
import torch
import transformers
from safetensors.torch import load_file

from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, DualEncoder, load_checkpoint, save_checkpoint
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.encoders.towers.vit import resized_positions
from mlcd_eval.errors import CheckpointError, ConfigError
from mlcd_eval.support.bundled import demo_model_dir
from mlcd_eval.support.progress import Progress
from mlcd_train.fit import freeze, new_model
from mlcd_train.optimizer import layer_scales, learning_rate
from mlcd_train.sections import ModelConfig, OptimizerConfig
from mlcd_train.stages import TrainingRun
from mlcd_train.start import load_start, read_start

SHAPE = {"image_size": 32, "patch_size": 8, "width": 48, "depth": 2, "heads": 4, "mlp_ratio": 2.0}
PIXELS = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def model_of(vision, embed_dim=None):
    return DualEncoder(CheckpointConfig(vision=vision, embed_dim=embed_dim, preprocess=Preprocess(image_size=32)))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A CLIPVisionModel of transformers, and its folder."""
    sizes = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(1)
    model = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**sizes, image_size=32, patch_size=8)).eval()
    folder = tmp_path_factory.mktemp("clip")
    model.save_pretrained(folder)
    side = {"height": 32, "width": 32}
    transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=side).save_pretrained(folder)
    return model, folder


def test_a_tower_of_transformers_gives_its_features_before_step_1(clip):
    theirs, folder = clip
    config = ModelConfig(init=f"hf:{folder}", vision={**SHAPE, "activation": "quick_gelu"}, embed_dim=16)
    ours = model_of(config.vision, 16)
    assert load_start(ours, read_start(config)) == ("projection",)
    with torch.no_grad():
        expected, got = theirs(PIXELS).pooler_output, ours.visual(PIXELS)[0]
    assert (got - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_tower_of_timm_too_without_a_norm_before_its_blocks(monkeypatch):
    created = []
    create = timm.create_model

    def tiny(*args, **options):
        created.append(create(*args, **options).eval())
        return created[-1]

    monkeypatch.setattr(timm, "create_model", tiny)
    vision = {"image_size": 224, "patch_size": 16, "width": 192, "depth": 12, "heads": 3}
    config = ModelConfig(
        init="timm:vit_tiny_patch16_224?init=random", vision={**vision, "pre_norm": False, "norm_eps": 1e-6}
    )
    start = read_start(config)
    ours = DualEncoder(CheckpointConfig(vision=config.vision, preprocess=Preprocess(image_size=224)))
    assert load_start(ours, start) == () and start.left == ("head.weight", "head.bias")
    pixels = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        expected, got = created[-1].forward_features(pixels)[:, 0], ours.visual(pixels)[0]
    assert (got - expected).abs().max() < 1e-5 * expected.abs().max()


def test_another_shape_is_refused_with_the_right_one(clip):
    config = ModelConfig(init=f"hf:{clip[1]}", vision={**SHAPE, "depth": 3})
    with pytest.raises(ConfigError, match=r"depth is 3, activation is gelu, but .* has depth 2, activation quick_gelu"):
        read_start(config)


def test_a_model_that_only_looks_alike_is_refused(clip, monkeypatch):
    monkeypatch.setattr("mlcd_train.start.TOLERANCE", -1.0)
    with pytest.raises(ConfigError, match="this project's ViT with its weights is another model"):
        read_start(ModelConfig(init=f"hf:{clip[1]}", vision={**SHAPE, "activation": "quick_gelu"}))


def test_a_model_without_patches_is_refused():
    with pytest.raises(ConfigError, match="without a ViT's patch embedding: expected a checkpoint of this project"):
        read_start(ModelConfig(init="python:tiny_encoder:make", vision=SHAPE))


def test_positions_are_interpolated_as_open_clip_does():
    from open_clip.model import resize_pos_embed

    positions = torch.randn(17, 8)
    state = {"visual.positional_embedding": positions}
    visual = type("Visual", (), {"grid_size": (6, 6)})()
    resize_pos_embed(state, type("Model", (), {"visual": visual})())
    assert torch.allclose(resized_positions(positions, (6, 6)), state["visual.positional_embedding"], atol=1e-6)
    assert resized_positions(positions, (4, 4)) is positions
    assert torch.equal(resized_positions(positions[:2], (2, 2))[1:], positions[1].expand(4, -1))  # of one patch


def run(config):
    training = TrainingRun(config, torch.device("cpu"), Progress())
    training.run()
    return load_checkpoint(training.checkpoint)


def test_a_training_starts_from_a_checkpoint_and_says_so(make_config, tmp_path):
    first = run(make_config(name="first"))
    init = str(tmp_path / "first" / "mlcd_tiny")
    still = ("fit.optimizer.lr=1e-12", "fit.optimizer.warmup=0", "fit.optimizer.weight_decay=0")
    second = run(make_config(f"model.init={init}", *still, name="second"))
    for name, tensor in first.state_dict().items():
        assert torch.allclose(second.state_dict()[name], tensor, atol=1e-6), name
    facts = second.config.provenance
    assert facts["init"] == init and len(facts["init_fingerprint"]) == 64


def test_a_clip_of_this_project_is_a_start_whose_temperature_has_no_dimensions():
    """Of the bundled CLIP, at another resolution; its text tower has no place in a tower alone."""
    bundled = load_checkpoint(demo_model_dir())
    vision = bundled.config.vision.model_copy(update={"image_size": 48})
    start = read_start(ModelConfig(init=str(demo_model_dir()), vision=vision, embed_dim=128))
    tower = DualEncoder(CheckpointConfig(vision=vision, embed_dim=128, preprocess=Preprocess(image_size=48)))
    assert load_start(tower, start) == ()
    assert torch.equal(tower.projection, bundled.projection)


def test_a_training_continues_with_another_schedule_and_resolution(make_config, tmp_path):
    first = run(make_config(name="first"))
    state = tmp_path / "first" / "fit"
    still = ("fit.optimizer.lr=1e-12", "fit.optimizer.weight_decay=0", "fit.batch_size=4", "model.vision.image_size=32")
    second = run(make_config(f"fit.continue_from={state}", *still, name="second"))
    ours, before = second.state_dict(), first.state_dict()
    positions = "visual.position_embedding"
    assert torch.allclose(ours.pop(positions), resized_positions(before.pop(positions), 4), atol=1e-6)
    assert all(torch.allclose(ours[name], before[name], atol=1e-6) for name in before)
    facts = second.config.provenance
    assert facts["continued_from"].endswith("first/fit/state/step_0000004")
    assert "batch_size was 8 and is 4" in facts["continued_changes"]
    assert "model.vision.image_size was 16 and is 32" in facts["continued_changes"]
    saved = [
        load_file(sorted((tmp_path / name / "fit" / "state").glob("step_*"))[-1] / "model.safetensors")
        for name in ("first", "second")
    ]
    steps = [int(tensors["optimizer.step.projection"]) for tensors in saved]
    assert steps == [4, 8]  # moments went on


def test_what_cannot_be_continued_is_known_before_the_first_stage(make_config, tmp_path):
    with pytest.raises(CheckpointError, match="holds no training state: expected a folder such as"):
        run(make_config(f"fit.continue_from={tmp_path}"))
    with pytest.raises(ConfigError, match=r"fit.freeze: 'visual.block.\*' matches no parameter"):
        run(make_config("fit.freeze=[visual.block.*]"))
    with pytest.raises(ConfigError, match="match every parameter, expected some that learn"):
        run(make_config("fit.freeze=['*']"))
    assert not (tmp_path / "run" / "embed" / "done.json").exists()


def test_frozen_parameters_stay_and_the_others_learn(make_config):
    config = make_config("fit.freeze=[visual.patch*, visual.blocks.0.*]")
    model = run(config)
    trained, start = model.state_dict(), new_model(model.config, config.seed, torch.device("cpu")).state_dict()
    for name, tensor in start.items():
        frozen = name.startswith(("visual.patch", "visual.blocks.0."))
        assert torch.equal(trained[name], tensor) == frozen, name


def test_schedules():
    def rates(**changes):
        config = OptimizerConfig(lr=1.0, warmup=2, min_lr=0.1, **changes)
        return [learning_rate(step, 10, config) for step in range(10)]

    assert rates(schedule="constant") == [0.5] + [1.0] * 9
    # the last 4 of 10 steps fall: 0.1 + 0.9 * left / 4 with 4, 3, 2 and 1 steps left
    assert rates(schedule="wsd", cooldown=0.4) == pytest.approx([0.5] + [1.0] * 6 + [0.775, 0.55, 0.325])


def test_layers_decay_from_the_last_block_down():
    names = ["visual.patch_embedding.weight", "visual.blocks.0.out.weight", "visual.blocks.1.out.weight"]
    names += ["visual.ln_post.weight", "projection"]
    names += ["text.token_embedding.weight", "text.blocks.0.out.weight", "logit_scale"]
    # BEiT with 2 blocks: embeddings 0.5 ** 3, block 0 0.5 ** 2, block 1 0.5, the rest 1; the text tower has one block
    assert list(layer_scales(names, 0.5).values()) == [0.125, 0.25, 0.5, 1.0, 1.0, 0.25, 0.5, 1.0]
    assert set(layer_scales(names, 1.0).values()) == {1.0}


def test_configs_of_older_checkpoints_keep_their_identity():
    config = ModelConfig(vision=SHAPE).vision
    assert "pre_norm" not in config.model_dump() and "norm_eps" not in json.loads(config.model_dump_json())
    assert config.model_copy(update={"norm_eps": 1e-6}).model_dump()["norm_eps"] == 1e-6


def test_freezing_is_by_whole_names():
    model = model_of(ModelConfig(vision=SHAPE).vision)
    freeze(model, ["visual.ln_p*.weight"])
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == [
        "visual.ln_pre.weight",
        "visual.ln_post.weight",
    ]


def test_a_checkpoint_with_other_norms_comes_back(tmp_path):
    model = model_of(ModelConfig(vision={**SHAPE, "pre_norm": False, "norm_eps": 1e-6}).vision)
    save_checkpoint(tmp_path / "a", model)
    again = load_checkpoint(tmp_path / "a")
    assert again.config == model.config and again.visual.blocks[0].ln_1.eps == 1e-6
    assert torch.equal(again.visual(PIXELS)[0], model.visual(PIXELS)[0])
