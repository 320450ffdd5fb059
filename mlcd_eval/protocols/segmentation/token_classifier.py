"""Multinomial logistic regression on patches, by the solver of linear_probe; lambda is chosen on held-out images.

The candidates are those of linear_probe's search, and the score of each is the mean IoU at points of the held-out
images, between patches too: patches alone would not tell a classifier whose scores are too flat to be interpolated. The
best candidate is fitted to all patches. A candidate that is far behind the best while its fit is still rough is
not fitted to the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.dense import class_overlaps, mean_iou
from mlcd_eval.protocols.classification.logistic import Fit, LogisticProblem, Path
from mlcd_eval.protocols.classification.probe_training import check_contrast
from mlcd_eval.protocols.classification.sweep import MOST_CANDIDATES, Candidates, search_lambda
from mlcd_eval.protocols.segmentation.maps import best_classes, linear
from mlcd_eval.protocols.segmentation.tokens import HeldOut, Tokens
from mlcd_eval.protocols.shared.pixels import FINE, weights_at
from mlcd_eval.support.progress import Advance
from mlcd_eval.support.resident import Rows

SEARCH_TOLERANCE = 1e-3  # of the candidates' fits
OUT_OF_REACH = 0.05  # of mean IoU below the best so far: such a candidate is not fitted to the end
FITS = MOST_CANDIDATES + 1
"""How many fits `fit_tokens` makes, at most."""


@dataclass(frozen=True)
class Regularisation:
    """lambda_: fixed, or None to search it. max_iter, tolerance: of the last fit, as linear_probe's."""

    lambda_: float | None
    max_iter: int
    tolerance: float


def fit_tokens(
    fitted: Tokens,
    held_out: HeldOut | None,
    num_classes: int,
    how: Regularisation,
    device: str,
    advance: Advance = lambda _: None,
) -> tuple[Fit, dict[str, Any]]:
    """Return the classifier that is fitted to all tokens, and for the record how.

    held_out: other images, on which lambda is chosen; None where it is given. Raises IncompatibleError where all tokens
    have one class, or no pixel of the held-out images has one.
    """
    start: tuple[torch.Tensor, torch.Tensor] | None = None
    details: dict[str, Any] = {}
    check_contrast(fitted.labels, "seg_linear")
    if how.lambda_ is not None or held_out is None:
        assert how.lambda_ is not None, "without held-out images it is given"
        lambda_, details["lambda_from"], every = how.lambda_, "settings", fitted
    else:
        if (held_out.truth < 0).all():
            raise IncompatibleError(
                f"lambda cannot be chosen: got {len(held_out.truth)} held-out images without a pixel that has a class, "
                "expected some (or set lambda_)"
            )
        path = Path(
            LogisticProblem(fitted.features, fitted.labels, num_classes, device), SEARCH_TOLERANCE, how.max_iter
        )
        search = _Search(path, held_out, num_classes, advance)
        lambda_, scores = search_lambda(search.score)
        advance(MOST_CANDIDATES - len(scores))
        best = next(fit for fit in path.fits if fit.lambda_ == lambda_)
        start = best.weight, best.bias
        details["lambda_from"] = f"search by mIoU of {len(held_out.truth)} images"
        details["search"] = [{"lambda": tried, "score": score} for tried, score in scores.items()]
        every = _together(fitted, held_out.tokens)
        del path, search
    problem = LogisticProblem(every.features, every.labels, num_classes, device)
    fit = problem.fit(lambda_, start, how.tolerance, how.max_iter)
    advance(1)
    return fit, details | {
        "lambda": lambda_,
        "iterations": fit.iterations,
        "converged": fit.converged,
        "num_train_images": every.num_images,
        "num_train_patches": len(every.labels),
        "num_known_patches": every.num_known,
    }


def _together(one: Tokens, other: Tokens) -> Tokens:
    return Tokens(
        np.concatenate([one.features, other.features]),
        np.concatenate([one.labels, other.labels]),
        one.num_images + other.num_images,
        one.num_known + other.num_known,
    )


class _Search(Candidates):
    """Scores candidates on held-out images, by mean IoU."""

    def __init__(self, path: Path, held_out: HeldOut, num_classes: int, advance: Advance) -> None:
        super().__init__(path, advance)
        self._held_out, self._num_classes = held_out, num_classes
        self._patches = Rows(held_out.array, path.problem.device)
        self._weights = [
            weights_at(np.arange(FINE * cells), cells, FINE * cells) for cells in held_out.array.shape[1:3]
        ]

    def _in_reach(self, fit: Fit) -> bool:
        return self._score(fit) >= self.best - OUT_OF_REACH

    def _score(self, fit: Fit) -> float:
        scores, sums = linear(fit.weight, fit.bias), np.zeros((2, self._num_classes), np.int64)
        for row, truth in enumerate(self._held_out.truth):
            found = best_classes(scores(self._patches[row : row + 1][0]), *self._weights)
            sums += np.stack(class_overlaps(found, truth, self._num_classes))
        return float(mean_iou(sums.ravel()))
