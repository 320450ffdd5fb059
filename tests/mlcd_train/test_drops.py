"""Dropped branches and patches: against timm's rule by hand, in number, and the same for any ranks, parts and kills."""

import pytest
import torch
from tiny_objectives import batch, discrimination, gradients, model
from torch.nn.functional import layer_norm

from mlcd_eval.encoders.adapters.checkpoint import tokenizer
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_train import drops as module
from mlcd_train.drops import DropRule, Drops
from mlcd_train.objectives.base import image_features
from mlcd_train.objectives.contrast import Contrast
from mlcd_train.objectives.discrimination import ClusterDiscrimination

CPU = torch.device("cpu")
RULE = DropRule(seed=3, path=0.4, patches=0.5, depth=5, grid=4)


def test_rates_rise_to_the_last_block_and_what_stays_is_scaled():
    paths = torch.cat([RULE.of(step, 64, CPU).paths for step in range(60)], dim=-1)
    assert paths.shape == (5, 2, 3840)
    for rate, block in zip((0.0, 0.1, 0.2, 0.3, 0.4), paths, strict=True):
        torch.testing.assert_close(block, (block > 0) / (1 - rate))
        assert (block == 0).float().mean().item() == pytest.approx(rate, abs=0.02)  # deviation of 7,680 draws: 0.006


def test_patches_are_drawn_evenly_and_the_class_token_stays():
    kept = torch.cat([RULE.of(step, 64, CPU).kept for step in range(30)])
    assert kept.shape == (1920, 9) and (kept[:, 0] == 0).all()
    assert all(len(set(row)) == 9 for row in kept.tolist())
    counts = torch.bincount(kept.flatten(), minlength=17)[1:]
    assert counts.min() > 870 and counts.max() < 1050  # binomial(1920, 0.5): mean 960, deviation 22
    assert not torch.equal(kept[:64], kept[64:128])


def test_any_number_of_ranks_drops_the_same(monkeypatch):
    whole = RULE.of(7, 96, CPU)
    for ranks in (2, 3, 96):
        parts = []
        for number in range(ranks):
            monkeypatch.setattr(module, "rank", lambda number=number: number)
            parts.append(RULE.of(7, 96 // ranks, CPU))
        assert torch.equal(torch.cat([part.kept for part in parts]), whole.kept)
        assert torch.equal(torch.cat([part.paths for part in parts], dim=-1), whole.paths)
    assert DropRule(3).of(7, 96, CPU) == Drops()


@pytest.mark.parametrize("positions", ["absolute", "rope2d"])
def test_the_tower_without_patches_is_the_tower_of_the_rest(positions):
    """Attention of the kept tokens alone: the same as if the others were masked out for everyone."""
    tower = model(
        vision={"image_size": 32, "patch_size": 8, "width": 32, "depth": 2, "heads": 2, "positions": positions},
        preprocess=Preprocess(image_size=32),
    )
    tower = tower.visual
    pixels, kept = torch.randn(2, 3, 32, 32), torch.tensor([[0, 2, 3, 9], [0, 1, 8, 16]])
    with torch.no_grad():
        pooled, patches = tower(pixels, kept)
        assert patches.shape == (2, 3, 32)
        everything = torch.arange(17).expand(2, -1)
        torch.testing.assert_close(tower(pixels, everything)[0], tower(pixels)[0], rtol=1e-5, atol=1e-5)
        x = tower.patch_embedding(pixels).flatten(2).mT
        x = torch.cat([tower.class_embedding.expand(2, 1, -1), x], dim=1)
        angles = None
        if positions == "absolute":
            x = x + tower.position_embedding
        else:
            angles = torch.cat([tower.class_angles, tower._patch_angles(4, 4)])
        for image in range(2):
            rows = tower.ln_pre(x[image, kept[image]])[None]
            for block in tower.blocks:
                rows = block(rows, None if angles is None else angles[kept[image]])
            torch.testing.assert_close(tower.ln_post(rows)[0, 0], pooled[image], rtol=1e-5, atol=1e-5)


def test_a_dropped_branch_adds_nothing_and_a_kept_one_more():
    tower = model().visual
    pixels = torch.randn(3, 3, 16, 16)
    paths = torch.zeros(2, 2, 3)
    paths[0, 0, 1], paths[1, 1, 2] = 2.0, 0.5
    with torch.no_grad():
        pooled, _ = tower(pixels, paths=paths)
        x = tower.patch_embedding(pixels).flatten(2).mT
        x = tower.ln_pre(torch.cat([tower.class_embedding.expand(3, 1, -1), x], dim=1) + tower.position_embedding)
        first, second = tower.blocks
        q, k, v = first.qkv(first.ln_1(x[1:2])).unflatten(-1, (3, 2, 16)).permute(2, 0, 3, 1, 4)
        weights = (q @ k.mT / 4).softmax(dim=-1)
        x[1] += 2 * first.out((weights @ v).transpose(1, 2).flatten(2))[0]
        x[2] += 0.5 * second.mlp_out(second.act(second.mlp_in(second.ln_2(x[2]))))
        expected = layer_norm(x[:, 0], (32,), tower.ln_post.weight, tower.ln_post.bias)
    torch.testing.assert_close(pooled, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["mlcd", "clip"])
def test_parts_drop_what_the_whole_batch_drops(kind):
    rule = DropRule(seed=1, path=0.5, patches=0.25, depth=2, grid=2)
    net = model(text=None) if kind == "mlcd" else model()
    if kind == "mlcd":
        plain = discrimination(net)
        objective = ClusterDiscrimination(net, plain.centres()["centres"], plain._labels_of, 1.0, rule)
    else:
        objective = Contrast(net, tokenizer(net.config.text), drops=rule)
    whole, expected = gradients(objective, 1, batch())
    terms, grads = gradients(objective, 4, batch())
    assert terms == pytest.approx(whole, rel=1e-4, abs=1e-6)
    for name, grad in expected.items():
        assert (grads[name] - grad).norm() <= 1e-4 * grad.norm() + 1e-5, name
    undropped = image_features(net, batch().images)
    assert not torch.allclose(image_features(net, batch().images, rule.of(0, 8, CPU)), undropped)
