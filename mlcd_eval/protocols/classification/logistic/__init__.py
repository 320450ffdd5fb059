"""L2-regularised logistic regression, softmax or one-vs-rest, by preconditioned L-BFGS on CPU or GPU.

It minimises  sum_i loss(W x_i + b, y_i) + lambda / 2 ||W||^2  over W (C, D) and b (C,); the intercept is not penalised.
scikit-learn's C is 1 / lambda (2 / lambda for two classes, where it has one row of weights instead of two).

Plain L-BFGS is slow on features, whose spectra span many decades, and for small lambda, where a few hard samples hold
all the curvature. Here its initial matrix accounts for both (preconditioner.py). Its steps are nearly optimal along
their direction at no extra product with the data, because logits are linear in the step (line.py).

Features, logits, gradients and curvature are float32; sums over samples and parameters are float64. Shapes: N samples,
D components, C classes, K hard samples per class; logits are (C, N), parameters theta (C, D + 1), the intercept last.
"""

from mlcd_eval.protocols.classification.logistic.path import Path
from mlcd_eval.protocols.classification.logistic.problem import Fit, LogisticProblem

__all__ = ["Fit", "LogisticProblem", "Path"]
