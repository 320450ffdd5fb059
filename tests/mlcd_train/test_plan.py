"""The plan's counts: memory against PyTorch's allocator, operations by hand, ranks, and what the command prints."""

from pathlib import Path
from types import SimpleNamespace

import pytest

import mlcd_train
from benchmarks.plan_memory import config, measured
from mlcd_eval.errors import ConfigError
from mlcd_train.centres import ClassCentres
from mlcd_train.cli import main
from mlcd_train.config import load_config
from mlcd_train.dry_step import SpreadLabels, step_cost
from mlcd_train.fit import num_steps
from mlcd_train.losses import mlcd_of_sums
from mlcd_train.plan import Plan

PAPER = Path(mlcd_train.__file__).parent / "configs" / "paper_vit_b32.yaml"
TOWER = {"image_size": 32, "patch_size": 8, "width": 48, "depth": 2, "heads": 2}
TEXT = {"context_length": 8, "width": 32, "depth": 1, "heads": 2}
CASES = {
    "mlcd": config(TOWER, 32, 3000),
    "parts": config({**TOWER, "width": 96}, 16, 500, precision="bf16", accumulation=2, ema=0.99),
    "clip": config({**TOWER, "positions": "rope2d"}, 64, text=TEXT, activation_checkpointing=True),
}


@pytest.mark.parametrize("name", CASES)
def test_memory_is_what_the_allocator_hands_out(name):
    assert step_cost(CASES[name], "fit", 1).peak == pytest.approx(measured(CASES[name]), rel=0.05)


def operations_of_tower(images, tower, dim):
    """Multiplications and additions, forward and backward, from the shapes of the products."""
    tokens, width = (tower["image_size"] // tower["patch_size"]) ** 2 + 1, tower["width"]
    patches = 2 * (tokens - 1) * width * 3 * tower["patch_size"] ** 2
    linear = tower["depth"] * 2 * tokens * width * (3 * width + width + 4 * width + 4 * width)
    attention = tower["depth"] * 2 * 2 * tokens**2 * width
    projection = 2 * width * dim
    # backward: two products for each, but pixels need no gradient, and attention's scores are computed again
    return images * (2 * patches + 3 * (linear + projection) + 3.5 * attention)


def test_operations_are_those_of_the_products():
    case = CASES["mlcd"]
    cost = step_cost(case, "fit", 1)
    assert cost.towers == operations_of_tower(32, TOWER, 128)
    drawn = ClassCentres(3000, 128, mlcd_of_sums).draw(SpreadLabels(case).classes_of([""] * 32), 0)
    assert cost.operations["centres"] == 3 * 2 * 32 * len(drawn.classes) * 128


def test_ranks_share_the_work_and_the_centres():
    alone, of_four = (step_cost(CASES["mlcd"], "fit", ranks) for ranks in (1, 4))
    assert 4 * of_four.towers == alone.towers
    assert 4 * of_four.operations["centres"] == pytest.approx(alone.operations["centres"], rel=0.2)
    one, four = (Plan(CASES["mlcd"], gpus).memory("fit") for gpus in (1, 4))
    rows = "class centres and their moments"
    assert one[rows] == 3000 * (3 * 128 + 1) * 4 == 4 * four[rows]
    weights = "weights, their moments and average"
    assert one[weights] == pytest.approx(four[weights], abs=100) and four["peak"] < one["peak"]
    with pytest.raises(ConfigError, match="batch_size: got 32, expected a multiple of 5 ranks"):
        step_cost(CASES["mlcd"], "fit", 5)


def test_sharded_towers_do_the_same_and_last_as_parts():
    whole, sharded = (step_cost(config(TOWER, 32, 3000, shard=shard), "fit", 4) for shard in ("none", "fsdp"))
    assert sharded.operations == whole.operations and sharded.parameters == whole.parameters
    centres, projection = 750 * (3 * 128 + 1) * 4, 48 * 128  # the projection is whole on every rank
    parts = (whole.parameters - projection) / 4 + projection
    assert sharded.lasting == pytest.approx(centres + 3 * 4 * parts, rel=0.02)


def test_the_command_needs_no_data(make_config, capsys):
    make_config(lit=True)
    assert main(["plan", str(make_config.path()), "--gpus", "2", "--images", "1e6", "--rate", "100"]) == 0
    printed = capsys.readouterr().out
    assert "mlcd_tiny on 2 GPUs, 1,000,000 images" in printed and "| fit: 4 steps, towers |" in printed
    # 12 centres of 16 dimensions, a million images, 20 passes and one more: 2 x 12 x 16 x 1e6 x 21
    assert "| cluster: 20 passes and one more | 8.1e+09 | 200 |" in printed
    assert main(["plan", str(make_config.path())]) == 0
    printed = capsys.readouterr().out
    assert "| assign | ? | 200 | ? |" in printed
    assert "Not counted: the forward passes of python:tiny_encoder:make in embed." in printed
    assert main(["plan", str(make_config.path()), "--gpus", "3"]) == 2
    assert "batch_size: got 8, expected a multiple of 3 ranks" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["plan", str(make_config.path()), "--images", "1.5"])


def test_the_page_on_scaling_has_the_plans_numbers():
    """ViT-B/32 at batch 32,768: 12 blocks of width 768 on 50 tokens."""
    text = " ".join((Path(__file__).parents[2] / "docs" / "scaling.md").read_text().split())
    paper = load_config(PAPER, ["lit=null"])
    plan = Plan(paper, 64, 400_000_000)
    cost = plan.costs["fit"]
    towers, centres = 64 * cost.towers, 64 * cost.operations["centres"]
    tower = {"image_size": 224, "patch_size": 32, "width": 768, "depth": 12}
    assert towers == operations_of_tower(32_768, tower, 512)
    assert f"ViT-B/32's {towers / 1e14:.1f} x 10^14" in text
    assert centres == pytest.approx(3.1e13, rel=0.05) and f"{centres / towers:.1%} of" in text
    assert "| embed: open_clip:ViT-L-14/openai | 6.5e+19 | 400 | 42 min |" in text  # 162 GFLOP for each of 4e8 images
    for row in plan.table().splitlines():
        if row.startswith(("| gradients", "| cluster", "| assign", "| fit")):
            assert " ".join(row.split()) in text, row


def test_grouped_search_compares_with_heads_and_the_nearest_groups():
    def compared(**cluster):
        return Plan._compared.fget(SimpleNamespace(config=SimpleNamespace(cluster=SimpleNamespace(**cluster))))

    assert compared(search="exact", k=10_000) == 10_000
    assert compared(search="grouped", k=10_000) == 100 + 16 * 100
    assert compared(search="grouped", k=100) == 10 + 100  # there are only ten groups


@pytest.mark.parametrize(("size", "epochs", "steps"), [(1000, 3.0, 46), (1000, 0.01, 1), (64, 1.0, 1), (128, 1.5, 3)])
def test_an_epoch_has_whole_batches(size, epochs, steps):
    settings = SimpleNamespace(steps=None, epochs=epochs, batch_size=64)
    assert num_steps(settings, SimpleNamespace(size=size)) == steps
    assert num_steps(SimpleNamespace(steps=7), SimpleNamespace(size=size)) == 7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rate", "two"], "got 'two', expected a number above 0"),
        (["--rate", "0"], "got '0', expected a number above 0"),
        (["--images", "inf"], "got 'inf', expected a number above 0"),
        (["--images", "1.5"], "got '1.5', expected a whole number"),
    ],
)
def test_counts_of_the_command_line(words, message, capsys):
    with pytest.raises(SystemExit) as left:
        main(["plan", str(PAPER), *words])
    assert left.value.code == 2 and message in capsys.readouterr().err
