"""What the numbers of a folded board share by row and column, and what is left."""

from mlcd_eval.tables.report.folded import _shared


def test_what_neither_row_nor_column_shares_is_kept_by_its_place():
    places = [[[1, 5, 9], [1, 6]], [[2, 5], [2, 6, 8]]]
    assert _shared(places, 1) == {
        "columns": [[], [1], [2]],
        "rows": [[5], [6]],
        "others": {"1,0": [9], "2,1": [8]},
    }


def test_an_empty_cell_shares_nothing_and_hides_nothing():
    assert _shared([[[1, 3], []]], 0) == {"columns": [[1, 3]], "rows": [[1, 3], []], "others": {}}
