"""The encoder of a model as each view of its images needs it."""

from __future__ import annotations

from typing import Any

from mlcd_eval.encoders.base import Encoder
from mlcd_eval.features.altered import AlteredEncoder
from mlcd_eval.features.letterbox import LetterboxedEncoder
from mlcd_eval.features.upright import UprightEncoder
from mlcd_eval.features.windows import framed
from mlcd_eval.planning.job import Job
from mlcd_eval.protocols.base import View


class Views:
    """Encoders by how they see images; those that are letterboxed are kept, because each measures what is cropped."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._letterboxed: dict[Any, Encoder] = {}

    def encoder(self, view: View) -> Encoder:
        """Return the encoder that sees images in this way. Raises IncompatibleError where it cannot."""
        encoder = self._whole(view) if view.letterbox else self._encoder
        encoder = UprightEncoder(encoder) if view.exif else encoder
        return AlteredEncoder(encoder, view.alteration) if view.alteration else encoder

    def image_side(self, job: Job) -> int:
        """Return the longer side in pixels of what a job's model sees."""
        shown = [self.encoder(request.view) for role, request in job.requests.items() if role == "test"]
        return max((shown or [self._encoder])[0].info.image_size)

    def details(self, job: Job) -> dict[str, Any]:
        """Return for the record at which size images were shown, where a setting says it."""
        frames = {request.frame for request in job.requests.values() if request.frame is not None}
        return {name: value for frame in frames for name, value in frame.details(self._encoder.info).items()}

    def _whole(self, view: View) -> Encoder:
        if view.frame not in self._letterboxed:
            self._letterboxed[view.frame] = (
                LetterboxedEncoder(self._encoder)
                if view.frame is None
                else LetterboxedEncoder(framed(self._encoder, view.frame), view.frame.size)
            )
        return self._letterboxed[view.frame]
