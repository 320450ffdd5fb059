"""L2-regularised logistic regression, softmax or one-vs-rest, by preconditioned L-BFGS on CPU or GPU.

Minimises  sum_i loss(W x_i + b, y_i) + lambda / 2 ||W||^2  over W (C, D) and b (C,); the intercept is not penalised.
scikit-learn's C is 1 / lambda (2 / lambda for two classes, where it has one row of weights in place of two).

Plain L-BFGS crawls on features, whose spectra span many decades, and for small lambda, where a few hard samples hold
all the curvature. Here its first matrix knows both (preconditioner.py), and its steps are nearly the best along their
direction, which costs no product with the data, the logits being linear in the step (line.py).

Features, logits, gradients and curvature are float32, sums over samples and parameters float64. Shapes: N samples, D
components, C classes, K hard samples per class; logits are (C, N), parameters theta (C, D + 1), the intercept last.
"""

from mlcd_eval.protocols.classification.logistic.path import Path
from mlcd_eval.protocols.classification.logistic.problem import Fit, LogisticProblem

__all__ = ["Fit", "LogisticProblem", "Path"]
