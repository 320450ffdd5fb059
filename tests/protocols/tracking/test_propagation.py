"""Label propagation against the algorithm written out patch by patch, in double precision."""

import numpy as np
import pytest
import torch

from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.tracking import propagation
from mlcd_eval.protocols.tracking.propagation import Grid, Propagation, propagated

SIZE, CELLS = (20, 30), (6, 6)  # patches of 5 x 5 pixels, of which four rows are in the image
OBJECTS = 2


def clip(seed, frames=6, width=5):
    rng = np.random.default_rng(seed)
    mask = np.zeros(SIZE, np.int16)
    mask[3:12, 4:17], mask[11:19, 18:28] = 1, 2
    start = rng.normal(size=(*CELLS, width))
    patches = [start + 0.6 * frame * rng.normal(size=start.shape) for frame in range(frames)]
    return [torch.from_numpy(each.astype(np.float32)) for each in patches], mask


def written_out(frames, mask, how):
    """The labels (4, 6, C) of each frame after the first."""
    rows, columns = 4, 6
    units = [frame.double().numpy()[:rows] for frame in frames]
    units = [each / np.linalg.norm(each, axis=2, keepdims=True) for each in units]
    labels = [np.eye(OBJECTS + 1)[mask[2::5, 2::5]]]
    for now in range(1, len(frames)):
        known = [0, *range(max(1, now - how.frames), now)]
        mixed = np.zeros((rows, columns, OBJECTS + 1))
        for row, column in np.ndindex(rows, columns):
            alike = []
            for then in known:
                for y, x in np.ndindex(rows, columns):
                    if abs(y - row) <= how.near and abs(x - column) <= how.near:
                        affinity = np.exp(units[now][row, column] @ units[then][y, x] / how.temperature)
                        alike.append((affinity, labels[then][y, x]))
            best = sorted(alike, key=lambda each: -each[0])[: how.k]
            mixed[row, column] = sum(a * label for a, label in best) / sum(a for a, _ in best)
        labels.append(mixed)
    return labels[1:]


def upsampled(labels):
    """DINO's way to pixels: bilinear, each object scaled to between 0 and 1, the largest wins."""
    maps = torch.from_numpy(labels).permute(2, 0, 1)[None]
    maps = torch.nn.functional.interpolate(maps, SIZE, mode="bilinear", align_corners=False)[0]
    scaled = [each if each.max() <= 0 else (each - each.min()) / (each - each.min()).max() for each in maps]
    return torch.stack(scaled).argmax(dim=0).numpy()


@pytest.mark.parametrize("how", [Propagation(2, 1, 3, 0.1), Propagation(7, 12, 5, 0.2), Propagation(0, 2, 100, 1.0)])
def test_labels_are_those_of_the_algorithm_written_out(how, monkeypatch):
    monkeypatch.setattr(propagation, "BATCH", 200)  # a few patches at a time
    frames, mask = clip(seed=1)
    expected = written_out(frames, mask, how)
    found = list(propagated(iter(frames), mask, OBJECTS, how, Layout(CELLS)))
    assert len(found) == len(expected) == 5
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours == upsampled(theirs)).mean() > 0.999  # where two labels are equal to the last bit either may win
    assert len({tuple(each.ravel()) for each in found}) > 1 and set(found[0].ravel().tolist()) == {0, 1, 2}


def test_mixtures_are_exact():
    frames, mask = clip(seed=2)
    how, grid = Propagation(3, 2, 4, 0.1), Grid(SIZE, Layout(CELLS))
    known = [(grid.patches(frames[0]), grid.labels_of(mask, OBJECTS + 1))]
    near = grid.near(how.near)
    for number, expected in enumerate(written_out(frames, mask, how), 1):
        patches = grid.patches(frames[number])
        labels = propagation._mixed(patches, [known[0], *known[1:][-how.frames :]], near, how)
        known.append((patches, labels))
        assert labels.reshape(4, 6, 3).numpy() == pytest.approx(expected, abs=1e-4)


def test_padding_is_neither_looked_at_nor_labelled():
    frames, mask = clip(seed=3)
    how = Propagation(7, 12, 5, 0.1)
    plain = [each.tolist() for each in propagated(iter(frames), mask, OBJECTS, how, Layout(CELLS))]
    for frame in frames:
        frame[4:] = 1e3
    assert [each.tolist() for each in propagated(iter(frames), mask, OBJECTS, how, Layout(CELLS))] == plain


def test_patches_that_are_all_alike_mix_all_of_them():
    same = [torch.ones(*CELLS, 4)] * 3
    _, mask = clip(seed=0)
    for found in propagated(iter(same), mask, OBJECTS, Propagation(7, 12, 5, 0.1), Layout(CELLS)):
        assert len(set(found.ravel().tolist())) == 1
