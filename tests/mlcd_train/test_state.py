"""Training states by themselves: all comes back, what is left over goes, and what another training may begin from."""

import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from mlcd_eval.errors import CheckpointError
from mlcd_train.centres import ClassCentres
from mlcd_train.losses import mlcd_of_sums
from mlcd_train.optimizer import WeightAverage
from mlcd_train.start import POSITIONS
from mlcd_train.state import TrainingState, newest_state, read_document


def make(seed=0, width=3, average=True, classes=5, steps=2, grid=2, scaled=False):
    """The state of a small model after some steps."""
    torch.manual_seed(seed)
    parameters = [
        ("weight", nn.Parameter(torch.randn(4, width))),
        (POSITIONS, nn.Parameter(torch.randn(1 + grid * grid, 2))),
    ]
    optimizer = torch.optim.AdamW([parameter for _, parameter in parameters], lr=0.1)
    for _ in range(steps):
        for _, parameter in parameters:
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
    centres = ClassCentres(classes, 6, mlcd_of_sums, seed=seed) if classes else None
    if centres is not None:
        centres.exp_avg.normal_()
        centres.exp_avg_sq.uniform_()
        centres.steps.fill_(steps)
    mean = WeightAverage(parameters, 0.9) if average else None
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0 + seed, enabled=scaled)
    return TrainingState(
        parameters, optimizer, mean, {"centres": centres} if centres else {}, scaler, steps, {0: (1, 8), 3: (0, 2)}
    )


def contents(state):
    """Every number of a state, by name."""
    tensors = {name: tensor.clone() for name, tensor in state._tensors().items()}
    for key, rows in state.centres.items():
        tensors |= {
            f"{key}.{name}": getattr(rows, name).clone() for name in ("weight", "exp_avg", "exp_avg_sq", "steps")
        }
    return tensors


def same(first, second):
    assert first.keys() == second.keys()
    assert [name for name, tensor in first.items() if not torch.equal(tensor, second[name])] == []


@pytest.mark.parametrize("options", [{}, {"average": False, "classes": 0}, {"scaled": True}])
def test_all_of_a_state_comes_back(tmp_path, options):
    state, other = make(**options), make(seed=1, steps=5, **options)
    other.positions = None
    state.save(tmp_path, "a", keep=2)
    assert other.load(tmp_path, "a") is True
    same(contents(other), contents(state))
    assert (other.step, other.positions) == (2, {0: (1, 8), 3: (0, 2)})
    assert other.scaler.get_scale() == state.scaler.get_scale()
    document = read_document(tmp_path / "step_0000002")
    assert (document["format_version"], document["config"], document["step"]) == (1, "a", 2)


def test_fp16_may_have_skipped_every_step_so_far(tmp_path):
    state = make(steps=0, scaled=True)
    state.save(tmp_path, "a", keep=1)
    other = make(seed=1, steps=0, scaled=True)
    assert other.load(tmp_path, "a") and not other.optimizer.state
    plain = make(seed=1, steps=0)
    with pytest.raises(CheckpointError, match=r"step_0000000 is damaged: 'optimizer.exp_avg.weight'"):
        plain.load(tmp_path, "a")


def test_the_last_states_are_kept_and_leftovers_of_killed_runs_removed(tmp_path):
    state = make()
    (tmp_path / ".step_0000001.tmp").mkdir(parents=True)
    for step in (3, 20, 100):
        state.step = step
        state.save(tmp_path, "a", keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_0000020", "step_0000100"]
    state.save(tmp_path, "b", keep=2)  # replaces its own
    assert read_document(tmp_path / "step_0000100")["config"] == "b"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_0000020", "step_0000100"]
    assert len(load_file(tmp_path / "step_0000100" / "centres_0000000000.safetensors")["weight"]) == 5


def test_a_state_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mlcd_train.state.write_text", full)
    with pytest.raises(OSError, match="No space left"):
        make().save(tmp_path, "a", keep=2)
    assert list(tmp_path.iterdir()) == []


def test_states_that_cannot_be_read_are_one_sentence(tmp_path):
    assert make().load(tmp_path, "a") is False
    make().save(tmp_path, "a", keep=2)
    with pytest.raises(CheckpointError, match=f"step_0000002 is of another config than this one.*or delete {tmp_path}"):
        make().load(tmp_path, "b")
    with pytest.raises(CheckpointError, match="step_0000002 is damaged: 5 of 7 class centres found"):
        make(classes=7).load(tmp_path, "a")
    with pytest.raises(CheckpointError, match="step_0000002 is damaged"):
        make(width=4).load(tmp_path, "a")
    path = tmp_path / "step_0000002" / "state.json"
    known = json.loads(path.read_text())
    for change in ({"format_version": 2}, {"scaler": ...}, {"positions": ...}):
        path.write_text(json.dumps({key: value for key, value in {**known, **change}.items() if value is not ...}))
        with pytest.raises(
            CheckpointError, match=r"state.json is not a training state: expected format_version 1 and co"
        ):
            make().load(tmp_path, "a")
    for change in ({"step": "x"}, {"step": 1e999}, {"positions": {"0": [1]}}, {"positions": []}):
        path.write_text(json.dumps({**known, **change}))
        with pytest.raises(CheckpointError, match="step_0000002 is damaged"):
            make().load(tmp_path, "a")
    for text in ("[]", "{"):
        path.write_text(text)
        with pytest.raises(CheckpointError, match=r"state.json (is not a training state|cannot be read)"):
            make().load(tmp_path, "a")


def test_another_training_begins_from_what_fits(tmp_path):
    """Weights, moments and centres; positions of patches are interpolated; step, position and average start anew."""
    state = make(steps=4)
    state.save(tmp_path, "a", keep=1)
    other = make(seed=1, steps=0)
    other.step, other.positions = 0, None
    assert other.begin_from(tmp_path / "step_0000004") == []
    mine, theirs = contents(other), contents(state)
    same(
        {name: mine[name] for name in mine if "average" not in name},
        {n: theirs[n] for n in theirs if "average" not in n},
    )
    assert (other.step, other.positions) == (0, None)
    assert torch.equal(other.average.weights["weight"], state.parameters[0][1])
    larger = make(seed=1, width=5, classes=6, steps=0, grid=4)
    before = larger.parameters[0][1].clone()
    assert larger.begin_from(tmp_path / "step_0000004") == ["weight", "class centres"]
    assert torch.equal(larger.parameters[0][1], before) and list(larger.optimizer.state) == []
    positions = larger.parameters[1][1]
    assert torch.equal(positions[0], state.parameters[1][1][0]) and positions.shape == (17, 2)
    (tmp_path / "step_0000004" / "model.safetensors").write_bytes(b"x" * 99)
    with pytest.raises(CheckpointError, match="step_0000004 is damaged"):
        make().begin_from(tmp_path / "step_0000004")


def test_the_newest_state_of_a_folder_or_a_stage(tmp_path):
    for step in (2, 10):
        state = make()
        state.step = step
        state.save(tmp_path / "fit" / "state", "a", keep=5)
    newest = tmp_path / "fit" / "state" / "step_0000010"
    older = tmp_path / "fit" / "state" / "step_0000002"
    assert newest_state(tmp_path / "fit") == newest_state(tmp_path / "fit" / "state") == newest_state(newest) == newest
    assert newest_state(older) == older
    (newest / "state.json").unlink()
    assert newest_state(tmp_path / "fit") == older
    with pytest.raises(CheckpointError, match=f"^{tmp_path} holds no training state: expected a folder such as OUTPUT"):
        newest_state(tmp_path)
