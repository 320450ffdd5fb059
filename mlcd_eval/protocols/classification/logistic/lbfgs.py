"""The inverse Hessian that L-BFGS approximates from its last steps."""

from __future__ import annotations

import torch
from torch import Tensor


class InverseHessian:
    """The limited-memory BFGS matrix of steps s and gradient changes y; the caller applies its initial matrix M.

    It has the compact form (Byrd, Nocedal, Schnabel 1994, theorem 2.2): matrix products instead of a loop over pairs.
    capacity: the most pairs. like: parameters, for their shape, type and device.
    """

    def __init__(self, capacity: int, like: Tensor) -> None:
        self._s, self._y, self._my = like.new_empty(3, capacity, like.numel())
        self._inverse, self._ymy = like.new_zeros(2, capacity, capacity, dtype=torch.float64)
        self._sy = like.new_zeros(capacity, dtype=torch.float64)
        self._z = like.new_empty(like.numel())  # M times the last gradient
        self._capacity = self._count = capacity
        self._fresh = False  # whether the last pair still lacks its M y

    @property
    def full(self) -> bool:
        """Whether there is no room for another pair. This is also true at first, when there is no M yet."""
        return self._count == self._capacity

    def clear(self) -> None:
        """Remove the pairs, which is necessary when M changes."""
        self._count, self._fresh = 0, False

    def append(self, step: Tensor, change: Tensor) -> None:
        """Add the pair of the last step and its change of the gradient."""
        n = self._count
        self._s[n], self._y[n] = step.view(-1), change.view(-1)
        column = (self._s[: n + 1] @ self._y[n]).double()
        self._fresh = bool(column[n] > 0)  # otherwise rounding dominates, and the pair is dropped
        if self._fresh:
            self._sy[n] = column[n]
            self._inverse[n, n] = 1 / column[n]
            self._inverse[:n, n] = self._inverse[:n, :n] @ column[:n] / -column[n]
            self._count += 1

    def direction(self, gradient: Tensor, mg: Tensor) -> Tensor:
        """Return minus the matrix times the gradient, given M times the gradient."""
        n, g, z = self._count, gradient.reshape(-1), mg.reshape(-1)
        if self._fresh:
            self._my[n - 1] = z - self._z  # M y, M being linear
            self._ymy[:n, n - 1] = self._ymy[n - 1, :n] = self._y[:n] @ self._my[n - 1]
        self._z = z
        if n == 0:
            return -mg
        s, inverse = self._s[:n], self._inverse[:n, :n]
        a = inverse @ (s @ g).double()
        p = inverse.T @ (self._sy[:n] * a + self._ymy[:n, :n] @ a - self._y[:n] @ z)
        direction = torch.addmv(z, self._my[:n].T, a.float(), beta=-1)
        return direction.addmv_(s.T, p.float(), alpha=-1).view_as(gradient)
