"""benchmarks/explain_blind.py with few draws, on an encoder that costs nothing."""

import numpy as np
from own_data import MODEL, png, write_wds

from benchmarks import explain_blind


def test_hidden_dialects_are_named(tmp_path):
    rng = np.random.default_rng(0)
    labels = [int(label) for label in rng.choice(3, 120, p=[0.5, 0.3, 0.2])]
    images = [(png((60 * label + int(rng.integers(160))) % 256), label) for label in labels]
    plain = write_wds(tmp_path / "plain", {"test": images}, ("red fox", "cone", "armchair seat"))
    data = explain_blind.with_wordnet_names(plain, tmp_path / "named")
    assert (data / "classnames.txt").read_text().splitlines()[0] == "red_fox, fox"
    made = list(explain_blind.draws(MODEL, data, "test", 4, np.random.default_rng(1), tmp_path))
    assert len(made) == 8 and all(draw.right for _, draw in made)
    assert len({str(draw.hidden) for _, draw in made}) == 4
    assert all(len(draw.explanation.ties) < len(explain_blind.DIALECTS) - 1 for _, draw in made)
    wrong = explain_blind.Draw("x", {"templates": "nothing"}, "1%", made[0][1].explanation)
    assert not wrong.right
