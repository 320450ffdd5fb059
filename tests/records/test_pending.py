"""The data's part of a record: what tells two data sets, splits or lists of prompts apart."""

import dataclasses

import pytest
from own_data import items, write_wds

from mlcd_eval.data import open_dataset
from mlcd_eval.data.prompts import Prompts
from mlcd_eval.records.pending import dataset_record
from mlcd_eval.spec import TaskIndex

PROMPTS = Prompts(("x", "y"), ("a photo of {c}.",), "here")


@pytest.fixture
def fingerprint(tmp_path):
    """A function from splits by role and prompts to the fingerprint of a record."""
    dataset = open_dataset(f"wds:{write_wds(tmp_path / 'wds_mine', {'train': items(6), 'test': items(4)})}")
    spec = TaskIndex.load().tasks["zeroshot/demo_clipart"].dataset
    return lambda prompts=None, **splits: dataset_record(spec, dataset, splits or {"test": "test"}, prompts).fingerprint


def test_prompts_and_splits_are_part_of_the_data(fingerprint):
    changed = [{"class_names": ("y", "x")}, {"templates": ("{c}",)}, {"templates": (*PROMPTS.templates, "{c}")}]
    known = [
        fingerprint(),
        fingerprint(train="train", test="test"),
        fingerprint(PROMPTS),
        *(fingerprint(dataclasses.replace(PROMPTS, **change)) for change in changed),
    ]
    assert len(set(known)) == len(known)
    assert fingerprint(dataclasses.replace(PROMPTS, source="elsewhere")) == fingerprint(PROMPTS)
    assert fingerprint(val="test", test="test") == fingerprint()  # a split that is read twice is one
