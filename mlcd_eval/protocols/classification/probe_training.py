"""Training one linear probe: lambda is chosen on held-out rows, then all rows are fitted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.classification import classification_samples
from mlcd_eval.metrics.multilabel import multilabel_samples
from mlcd_eval.metrics.table import metric_value
from mlcd_eval.protocols.classification.cross_validation import (
    HARD,
    PARTITIONS,
    TOLERANCE,
    Part,
    choose_lambda,
    held_out_logits,
)
from mlcd_eval.protocols.classification.reliability import HeldOut, thinned
from mlcd_eval.protocols.classification.sweep import Candidates, Sweep
from mlcd_eval.support.progress import Advance

if TYPE_CHECKING:
    from torch import Tensor

    from mlcd_eval.protocols.classification.logistic import Fit, Path
    from mlcd_eval.support.resident import Rows

SEARCH_TOLERANCE = 1e-4  # chose the same lambda as 1e-6 on nine of nine splits of three data sets; 1e-3 on seven
OUT_OF_REACH = 1.5  # standard errors below the best; at GLANCE, scores were off by at most 0.84 in 168 fits
DEFAULT_LAMBDA = 1.0  # where no class has a sample to spare for choosing it


@dataclass(frozen=True)
class TrainingSet:
    """features (N, D), labels (N,) or (N, C). fit_rows, val_rows: rows to fit and to score in the search of lambda;
    val_rows may be empty. folds: the rows of each fold, where lambda is chosen by cross-validation instead. spread:
    whether the lambdas that other draws of the images would have chosen then are fitted too. prepare: what features
    pass through first. keeps_logits: whether those of held-out rows are returned."""

    features: np.ndarray
    labels: np.ndarray
    fit_rows: np.ndarray
    val_rows: np.ndarray
    folds: Sequence[np.ndarray] = ()
    spread: bool = True
    prepare: Callable[[Tensor], Tensor] = lambda rows: rows
    keeps_logits: bool = False


class Fitted(Protocol):
    """A linear classifier: its bias (C,) and the logits of features."""

    @property
    def bias(self) -> Tensor:
        """The intercepts (C,)."""

    def scores(self, features: Rows) -> Iterator[Tensor]:
        """Yield the logits of features (N, D), in order, in chunks (B, C)."""


@dataclass(frozen=True)
class Probe:
    """A trained probe. details: how it was trained, for the record. selections: lambda -> the probe with it and how
    often other draws of the images would have chosen it, if that is known. held_out: what a probe with the same lambda
    says of rows that it was not fitted on, if asked for and known."""

    fit: Fitted
    details: dict[str, Any]
    selections: Mapping[float, tuple[Fitted, int]] = field(default_factory=dict)
    held_out: HeldOut | None = None


def train_probe(
    data: TrainingSet,
    num_classes: int,
    metric: str,
    sweep: Sweep,
    lambda_: float | None,
    max_iter: int,
    tolerance: float,
    device: str,
    advance: Advance = lambda _: None,
    seed: int = 0,
    all_rows: bool = True,
) -> Probe:
    """Search lambda by the metric on the two parts of the rows, or on the folds, unless it is given, then fit
    all rows.

    tolerance: of the last fit. seed: of the selections. all_rows: False for the probe of fit_rows, which a search has
    fitted already. advance: called with the fits done, `sweep.most` and one in all
    for a search.
    Raises IncompatibleError if all labels are equal or the metric is undefined on the scored part.
    """
    import torch

    from mlcd_eval.protocols.classification.logistic import LogisticProblem, Path
    from mlcd_eval.support.resident import Rows

    features, labels = Rows(data.features, device, data.prepare), data.labels
    check_contrast(labels)
    start: tuple[Tensor, Tensor] | None = None
    selections: list[float] = []
    held_out: HeldOut | None = None
    details: dict[str, Any] = {"num_train": len(labels)}
    if lambda_ is not None:
        details["lambda_from"] = "settings"
    elif data.folds:
        parts = _parts(data, features, num_classes, max_iter)
        choice = choose_lambda(parts, seed, sweep.most, advance)
        lambda_, start, selections = choice.lambda_, choice.start, choice.selections if data.spread else []
        details |= choice.details
        if data.keeps_logits:
            once = parts[: len(parts) // PARTITIONS]
            words = f"{len(labels)} samples, each held out of one of {len(once)} folds"
            rows = np.concatenate([part.rows for part in once])
            held_out = HeldOut(torch.cat([held_out_logits(part, lambda_) for part in once]), labels[rows], words)
        del parts
    elif len(data.val_rows) == 0:
        lambda_, details["lambda_from"] = DEFAULT_LAMBDA, "default: no class has two train samples"
    else:
        check_contrast(labels[data.fit_rows])
        problem = LogisticProblem(features.select(data.fit_rows), labels[data.fit_rows], num_classes)
        path = Path(problem, SEARCH_TOLERANCE, max_iter)
        search = _Search(path, features.select(data.val_rows), labels[data.val_rows], metric, advance)
        lambda_, scores = sweep.search(search.score)
        advance(sweep.most - len(scores))
        fits = {fit.lambda_: fit for fit in search.path.fits}
        start = fits[lambda_].weight, fits[lambda_].bias
        if data.keeps_logits:
            rows = thinned(data.val_rows, num_classes)
            logits = torch.cat(list(fits[lambda_].scores(features.select(rows))))
            held_out = HeldOut(logits, labels[rows], f"{len(rows)} samples that chose lambda")
        details["lambda_from"] = f"search by {metric} on {len(data.val_rows)} samples"
        details["search"] = [
            {"lambda": tried, "score": score, "out_of_reach": tried in search.out_of_reach, **_convergence(fits[tried])}
            for tried, score in scores.items()
        ]
        if not all_rows:
            return Probe(fits[lambda_], details | {"lambda": lambda_})
        del problem, path, search, fits  # they would take memory beside the last fit's, as would the features
    if not all_rows:
        features, labels = features.select(data.fit_rows), labels[data.fit_rows]
    problem = LogisticProblem(features, labels, num_classes)
    del features
    fit = problem.fit(lambda_, start, tolerance, max_iter)
    advance(1)
    details |= {"lambda": lambda_, "objective": fit.objective, "gradient_norm": fit.gradient_norm, **_convergence(fit)}
    path = Path(problem, SEARCH_TOLERANCE, max_iter)
    path.fits.append(fit)
    times = sorted(Counter(selections).items(), reverse=True)
    chosen = {other: (fit if other == lambda_ else path.fit(other), n) for other, n in times}
    return Probe(fit, details, chosen, held_out)


def _parts(data: TrainingSet, features: Rows, num_classes: int, max_iter: int) -> list[Part]:
    """Raises IncompatibleError where the rows outside a fold have no contrast."""
    import torch

    from mlcd_eval.protocols.classification.logistic import LogisticProblem, Path

    parts = []
    for held_out in data.folds:
        rows = np.setdiff1d(np.arange(len(data.labels)), held_out)
        check_contrast(data.labels[rows])
        problem = LogisticProblem(features.select(rows), data.labels[rows], num_classes, hard=HARD)
        labels = torch.as_tensor(data.labels[held_out], device=features.device)
        parts.append(Part(held_out, features.select(held_out), labels, Path(problem, TOLERANCE, max_iter)))
    return parts


class _Search(Candidates):
    """Scores candidates on held-out features (N, D) and labels. out_of_reach: those that are not fitted to the end."""

    def __init__(self, path: Path, features: Rows, labels: np.ndarray, metric: str, advance: Advance) -> None:
        super().__init__(path, advance)
        self.features, self.labels, self.metric = features, labels, metric
        self.out_of_reach: set[float] = set()

    def _in_reach(self, fit: Fit) -> bool:
        n = len(self.labels)
        p = (self.best * n + 1) / (n + 2)  # so that even a best score of 1 has a standard error
        if self._score(fit) < self.best - OUT_OF_REACH * math.sqrt(p * (1 - p) / n):
            self.out_of_reach.add(fit.lambda_)
        return fit.lambda_ not in self.out_of_reach

    def _score(self, fit: Fit) -> float:
        scores = fit.scores(self.features)
        if self.labels.ndim == 2:
            columns = multilabel_samples(np.concatenate([part.cpu().numpy() for part in scores]), self.labels)
        else:
            columns = classification_samples(scores, self.labels)
        value = metric_value(self.metric, columns)
        if value is None:
            raise IncompatibleError(
                f"lambda cannot be chosen by {self.metric}: got {len(self.labels)} validation samples on which it is "
                "undefined, expected positives and negatives among them (or set lambda_)"
            )
        return value


def _convergence(fit: Fit) -> dict[str, Any]:
    return {"iterations": fit.iterations, "gap": fit.gap, "converged": fit.converged}


def check_contrast(labels: np.ndarray, protocol: str = "linear_probe") -> None:
    """Raise IncompatibleError, which names the protocol, if all labels are equal."""
    if labels.ndim == 1 and labels.min() == labels.max():
        raise IncompatibleError(
            f"{protocol} needs two classes to tell apart: got {len(labels)} train samples, all of class {labels[0]}"
        )
    if labels.ndim == 2 and (labels.min(axis=0) == labels.max(axis=0)).all():
        raise IncompatibleError(
            f"{protocol} needs a label that some images have and some lack: got none in {len(labels)} train samples"
        )
