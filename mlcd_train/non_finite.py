"""Losses and gradients that are no numbers: noted on the device, and the error that says how to go on."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from mlcd_eval.errors import UserError


class NonFiniteLoss(UserError):
    """A loss, gradient or loss scale became infinite, NaN or useless; the last state on disk is from before that."""


class Watch:
    """Notes the first step whose loss or gradient norm is no number, on the device; the host looks when it needs to.

    scaled: fp16's norm may be infinite. error: of a step, what is no number, and its value.
    """

    def __init__(self, device: torch.device, scaled: bool, error: Callable[[int, str, float], NonFiniteLoss]) -> None:
        self._first = torch.tensor([-1.0, 0.0, 0.0], dtype=torch.float64, device=device)
        self._scaled, self._error = scaled, error

    def see(self, step: int, loss: Tensor, norm: Tensor) -> None:
        """Note a step."""
        norm = torch.zeros_like(norm) if self._scaled else norm
        now = torch.stack([torch.full_like(loss, step), loss, norm.to(loss)]).double()
        begins = ~now.isfinite().all() & (self._first[0] < 0)
        self._first = torch.where(begins, now, self._first)

    def check(self) -> None:
        """Raise NonFiniteLoss for the step that was noted. The host waits for the device."""
        step, loss, norm = self._first.tolist()
        if step >= 0:
            what, value = ("gradient norm", norm) if math.isfinite(loss) else ("loss", loss)
            raise self._error(int(step), what, value)


def non_finite(
    title: str, folder: Path, lr: float, step: int, what: str, value: float, expected: str = "a number"
) -> NonFiniteLoss:
    """The error, with what to do: follow it and training goes on. lr: the setting."""
    stage, slower = folder.name, f"--set {folder.name}.optimizer.lr={lr / 2:g}"
    advice = f"run again with {slower}"
    if any((folder / "state").glob("step_*/state.json")):
        aside = folder.with_name(f"{stage}_diverged")
        advice = f"move {folder} to {aside} and run again with {slower}"
        if stage == "fit":
            advice += f" --set fit.continue_from={aside}, which goes on from its last state"
    return NonFiniteLoss(
        f"{title}: the {what} of step {step} is {value}, expected {expected}: {advice} (more warm-up, or bf16 instead "
        f"of fp16, may help too)"
    )
