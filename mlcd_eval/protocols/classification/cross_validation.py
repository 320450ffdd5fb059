"""Lambda by cross-validation: each train image is held out once, so that the choice depends little on chance.

Candidates are compared by the log-loss of the held-out images of all folds after temperature scaling. Accuracy is so
coarse that chance decides between near candidates; and without the scaling, log-loss punishes the longer logits of a
small lambda, which accuracy does not see. Log-loss is steady, but least at a larger lambda than the one of the best
accuracy, so that the chosen one is half a decade below its minimum. Candidates are half a decade apart too: chance
decides between nearer ones (benchmarks/results/selection.txt). A candidate that is clearly behind on the first fold is
not fitted on the others (racing; Maron & Moore 1994).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlcd_eval.metrics.interval import generator
from mlcd_eval.protocols.classification.sweep import HALF_DECADE, search_lambda
from mlcd_eval.protocols.classification.temperature import FINITE, fit_temperature, log_losses
from mlcd_eval.support.progress import Advance

if TYPE_CHECKING:
    from torch import Tensor

    from mlcd_eval.protocols.classification.logistic import Fit, Path
    from mlcd_eval.support.resident import Rows

FOLDS = 5
TOO_MANY = 10_000  # train images, of which one held-out part chooses well enough
BELOW = 10**-0.5  # of the lambda of least log-loss, for one label per image: there accuracy was best or nearly so
SELECTIONS = 20  # choices of lambda by resampled images, whose spread is reported
BEHIND = 3.0  # standard errors of the mean difference from the best candidate on the same images
FEWEST = 50  # images that such a comparison needs


@dataclass(frozen=True)
class Choice:
    """start: weight and bias near those of lambda_ and all rows; selections: what lambda_ would have been on other
    draws of the images, SELECTIONS in all; details: for the record."""

    lambda_: float
    start: tuple[Tensor, Tensor]
    selections: list[float]
    details: dict[str, Any]


@dataclass(frozen=True)
class Part:
    """features (B, D) and labels of one fold, which are held out, and the fits of all other rows."""

    features: Rows
    labels: Tensor
    path: Path


def choose_lambda(parts: Sequence[Part], seed: int, advance: Advance = lambda _: None) -> Choice:
    """Search lambda by the pooled log-loss of the parts. seed: of the resampled selections. advance: called with 1
    for each candidate."""
    import torch

    search = _Search(parts, advance)
    least, scores = search_lambda(search.score, HALF_DECADE)
    fits = search.fits[least]
    start = torch.stack([fit.weight for fit in fits]).mean(dim=0), torch.stack([fit.bias for fit in fits]).mean(dim=0)
    details = {
        "lambda_from": f"search by log-loss on {len(search.losses[least])} samples in {len(parts)} folds",
        "search": [
            {
                "lambda": tried,
                "log_loss": -score,
                "out_of_reach": len(search.fits[tried]) < len(parts),
                "iterations": sum(fit.iterations for fit in search.fits[tried]),
                "gap": max(fit.gap for fit in search.fits[tried]),
                "converged": all(fit.converged for fit in search.fits[tried]),
            }
            for tried, score in scores.items()
        ],
    }
    below = BELOW if parts[0].labels.ndim == 1 else 1.0
    others = search.selections(generator(seed, "selections of lambda"))
    return Choice(below * least, start, [below * other for other in others], details)


class _Search:
    """The scores of candidates. losses: of each held-out image, by candidate; fits: by candidate and part."""

    def __init__(self, parts: Sequence[Part], advance: Advance) -> None:
        import torch

        self._parts, self._advance = parts, advance
        self._labels = torch.cat([part.labels for part in parts])
        self.losses: dict[float, np.ndarray] = {}
        self.fits: dict[float, list[Fit]] = {}
        self._best: np.ndarray | None = None

    def score(self, lambda_: float) -> float:
        """Return minus the mean loss; of a candidate that is not fitted on all parts, what its deficit so far makes of
        the best one's."""
        import torch

        fits = self.fits[lambda_] = []
        logits: list[Tensor] = []
        for number, part in enumerate(self._parts, 1):
            fits.append(part.path.fit(lambda_))
            logits.append(_finite_logits(fits[-1], part))
            if number in (1, len(self._parts)):
                losses = self._losses(torch.cat(logits))
                if self._best is not None and number < len(self._parts) and _is_behind(losses, self._best):
                    break
        self._advance(1)
        self.losses[lambda_] = losses
        if self._best is not None and number < len(self._parts):
            return float((self._best[: len(losses)] - losses).mean() - self._best.mean())
        if self._best is None or losses.mean() < self._best.mean():
            self._best = losses
        return -float(losses.mean())

    def _losses(self, logits: Tensor) -> np.ndarray:
        """Return the losses of the first images, those of these logits, at their best temperature."""
        labels = self._labels[: len(logits)]
        return log_losses(logits, labels, fit_temperature(logits, labels)).cpu().numpy()

    def selections(self, rng: np.random.Generator) -> list[float]:
        """Return the best candidate on each of SELECTIONS resamples of the images, of equal ones the larger."""
        complete = sorted((tried for tried, fits in self.fits.items() if len(fits) == len(self._parts)), reverse=True)
        losses = np.stack([self.losses[tried] for tried in complete])
        n = losses.shape[1]
        counts = rng.multinomial(n, np.full(n, 1 / n), size=SELECTIONS)
        return [complete[place] for place in (losses @ counts.T).argmin(axis=0)]


def _is_behind(losses: np.ndarray, best: np.ndarray) -> bool:
    deficit = losses - best[: len(losses)]
    return len(losses) >= FEWEST and bool(deficit.mean() > BEHIND * deficit.std() / math.sqrt(len(losses)))


def held_out_logits(part: Part, lambda_: float) -> Tensor:
    """Return logits (B, C) of a part's held-out images by a fit of the other rows with a lambda."""
    return _finite_logits(part.path.fit(lambda_), part)


def _finite_logits(fit: Fit, part: Part) -> Tensor:
    """Return logits (B, C) of the held-out images, finite. A label without contrast among the rows of the fit, whose
    bias is infinite, gets those of its true answers, so that it does not count."""
    import torch

    logits = torch.cat(list(fit.scores(part.features)))
    if part.labels.ndim == 2:
        logits = torch.where(fit.bias.isfinite(), logits, (2.0 * part.labels - 1) * FINITE)
    return logits.clamp(min=-FINITE, max=FINITE)
