"""Lambda by cross-validation: each train image is held out PARTITIONS times, so that the choice depends little on
chance.

Two scores of the held-out images decide, because each lacks something. Log-loss after temperature scaling is steady,
but a few images that are far off count most, so that its minimum may be a decade from the best accuracy. Accuracy is
what is wanted, but so coarse that chance decides between near candidates. So log-loss says which candidates, half a
decade apart, are looked at; among these accuracy decides, smoothed: an image counts by the normal distribution function
of its margin over half the standard deviation of all margins, instead of 0 or 1 (a kernel estimate of the share of
margins above 0; Azzalini 1981). The choice is the mean of log lambda over what sampling noise would make best (bagging;
Breiman 1996). benchmarks/results/selection.txt says what this gives, on which data it was chosen and on which tested.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlcd_eval.metrics.interval import generator
from mlcd_eval.protocols.classification.sweep import LAMBDAS, STEPS_PER_DECADE
from mlcd_eval.protocols.classification.temperature import FINITE, fit_temperature, log_losses
from mlcd_eval.support.progress import Advance

if TYPE_CHECKING:
    from torch import Tensor

    from mlcd_eval.protocols.classification.logistic import Fit, Path
    from mlcd_eval.support.resident import Rows

FOLDS, PARTITIONS = 5, 2
TOO_MANY = 10_000  # train images, of which one held-out part chooses well enough
TOLERANCE = 1e-3  # of the fits of folds, whose scores are smoothed and averaged
HARD = 32  # samples per class that the preconditioner of these rough fits has exactly: 30% faster than its usual 96
HALF_DECADE = STEPS_PER_DECADE // 2
WINDOW = 3 * HALF_DECADE  # to either side of the candidate of least log-loss: one and a half decades
SMOOTHING = 0.5  # standard deviations of the margins
RESAMPLES = 1000  # of the scores, over which the choice is averaged
SELECTIONS = 20  # choices of lambda on other draws of the images, whose spread is reported
BEHIND = 3.0  # standard errors of the mean difference from the best candidate on the same images
FEWEST = 20  # images that such a comparison needs


@dataclass(frozen=True)
class Choice:
    """start: weight and bias near those of lambda_ and all rows; selections: what lambda_ would have been on other
    draws of the images, SELECTIONS in all, half decades from it; details: for the record."""

    lambda_: float
    start: tuple[Tensor, Tensor]
    selections: list[float]
    details: dict[str, Any]


@dataclass(frozen=True)
class Part:
    """One fold: rows (B,) of train, their features (B, D) and labels, which are held out, and the fits of all other
    rows."""

    rows: np.ndarray
    features: Rows
    labels: Tensor
    path: Path


def choose_lambda(parts: Sequence[Part], seed: int, most: int, advance: Advance = lambda _: None) -> Choice:
    """Choose lambda by the held-out images of all parts. seed: of the resamples. advance: called as candidates are
    scored, with `most` in all."""
    import torch

    left = most

    def scored(_: int) -> None:
        nonlocal left
        if left:
            advance(1)
            left -= 1

    candidates = _Candidates(parts, scored)
    window = _around_least_loss(candidates)
    advance(left)
    scores = np.stack([candidates.scores(LAMBDAS[tried]) for tried in window])
    place, others, shares = _averaged(window, scores, generator(seed, "selections of lambda"))
    fits = candidates.fits[LAMBDAS[min(window, key=lambda tried: abs(tried - place))]]
    start = torch.stack([fit.weight for fit in fits]).mean(dim=0), torch.stack([fit.bias for fit in fits]).mean(dim=0)
    what = "smoothed accuracy" if parts[0].labels.ndim == 1 else "log-loss"
    details = {
        "lambda_from": f"{what} of {scores.shape[1]} samples in {PARTITIONS} x {len(parts) // PARTITIONS} folds",
        "search": [
            {
                "lambda": LAMBDAS[tried],
                "score": float(mean),
                "log_loss": candidates.loss(LAMBDAS[tried]),
                "share_best": float(share),
                "iterations": sum(fit.iterations for fit in candidates.fits[LAMBDAS[tried]]),
                "gap": max(fit.gap for fit in candidates.fits[LAMBDAS[tried]]),
                "converged": all(fit.converged for fit in candidates.fits[LAMBDAS[tried]]),
            }
            for tried, mean, share in zip(window, scores.mean(axis=1), shares, strict=True)
        ],
    }
    return Choice(LAMBDAS[place], start, [LAMBDAS[other] for other in others], details)


class _Candidates:
    """Lambdas that are fitted and scored once. fits: by lambda and part."""

    def __init__(self, parts: Sequence[Part], advance: Advance) -> None:
        self._parts, self._advance = parts, advance
        self._losses: dict[float, float] = {}
        self._scores: dict[float, np.ndarray] = {}
        self.fits: dict[float, list[Fit]] = {}

    def first_losses(self, lambda_: float) -> np.ndarray:
        """Return the loss (B,) of each image of the first part."""
        return _losses(*self._held_out(lambda_, 1))

    def loss(self, lambda_: float) -> float:
        """Return the mean loss of the images of all parts."""
        self._score(lambda_)
        return self._losses[lambda_]

    def scores(self, lambda_: float) -> np.ndarray:
        """Return the score (N,) of each image that is held out, its mean over partitions; larger is better: smoothed
        accuracy, or where images have several labels minus their loss."""
        self._score(lambda_)
        return self._scores[lambda_]

    def _score(self, lambda_: float) -> None:
        if lambda_ in self._losses:
            return
        logits, labels = self._held_out(lambda_, len(self._parts))
        losses = _losses(logits, labels)
        scores = smoothed_accuracy(logits, labels) if labels.ndim == 1 else -losses
        _, image, times = np.unique(
            np.concatenate([part.rows for part in self._parts]), return_inverse=True, return_counts=True
        )
        self._losses[lambda_] = float(losses.mean())
        self._scores[lambda_] = np.bincount(image, weights=scores) / times
        self._advance(1)

    def _held_out(self, lambda_: float, count: int) -> tuple[Tensor, Tensor]:
        """Return the logits and labels of the images of the first parts, which are fitted if they are not yet."""
        import torch

        parts, fits = self._parts[:count], self.fits.setdefault(lambda_, [])
        fits += [part.path.fit(lambda_) for part in parts[len(fits) :]]
        logits = [_finite_logits(fit, part) for fit, part in zip(fits, parts, strict=False)]
        return torch.cat(logits), torch.cat([part.labels for part in parts])


def _around_least_loss(candidates: _Candidates) -> list[int]:
    """Return the places in LAMBDAS of the candidates around the one of least loss, descending.

    That one is looked for in the first part alone, from the largest lambda in steps of a decade until one is clearly
    behind; then in all parts, among those around it, until it has as many neighbours on either side.
    """
    first: dict[int, np.ndarray] = {}
    least = len(LAMBDAS) - 1
    for place in range(least, -1, -STEPS_PER_DECADE):
        first[place] = candidates.first_losses(LAMBDAS[place])
        if first[place].mean() < first[least].mean():
            least = place
        if _is_behind(first[place], first[least]):
            break
    while True:
        window = list(range(min(least + WINDOW, len(LAMBDAS) - 1), max(least - WINDOW, 0) - 1, -HALF_DECADE))
        before, least = least, min(window, key=lambda place: candidates.loss(LAMBDAS[place]))
        if least == before:
            return window


def _averaged(places: Sequence[int], scores: np.ndarray, rng: np.random.Generator) -> tuple[int, list[int], np.ndarray]:
    """Return the mean of the places, each weighted by how often its mean score is the largest when the means vary as
    they do over draws of the images; the same where the means themselves are such a draw, SELECTIONS times, in half
    decades from the former; and the weights.

    places: of lambdas in LAMBDAS. scores (K, N): of each image. The means are drawn from the normal distribution of
    their covariance.
    """
    means, covariance = scores.mean(axis=1), np.cov(scores) / scores.shape[1]
    noise = rng.multivariate_normal(np.zeros(len(means)), covariance, size=RESAMPLES)

    def shares(around: np.ndarray) -> np.ndarray:
        return np.bincount((around + noise).argmax(axis=1), minlength=len(means)) / RESAMPLES

    place = round(float(shares(means) @ places))
    steps = [round(float(shares(means + drawn) @ places - place) / HALF_DECADE) for drawn in noise[:SELECTIONS]]
    return place, [min(max(place + HALF_DECADE * step, 0), len(LAMBDAS) - 1) for step in steps], shares(means)


def smoothed_accuracy(logits: Tensor, labels: Tensor) -> np.ndarray:
    """Return for each row of logits (N, C) and label (N,) the normal distribution function of its margin, which is the
    label's logit less the largest other one, over SMOOTHING standard deviations of all margins."""
    import torch

    own = labels[:, None]
    margins = logits.gather(1, own)[:, 0] - logits.scatter(1, own, -torch.inf).amax(dim=1)
    width = (SMOOTHING * margins.std(correction=0)).clamp(min=torch.finfo(margins.dtype).tiny)
    return torch.special.ndtr(margins / width).cpu().numpy()


def _losses(logits: Tensor, labels: Tensor) -> np.ndarray:
    """Return the loss of each row at the best temperature of all."""
    return log_losses(logits, labels, fit_temperature(logits, labels)).cpu().numpy()


def _is_behind(losses: np.ndarray, best: np.ndarray) -> bool:
    deficit = losses - best
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
