"""The names of alterations, without the code that makes them: `gaussian_noise/3`, `stability/flip`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlcd_eval.errors import nearest

RECIPE = 1
"""Raised when an alteration changes, with the versions of the protocols that measure under it."""
SEVERITIES = range(1, 6)
CORRUPTIONS = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)
"""ImageNet-C's, in the order of its paper (Hendrycks & Dietterich 2019)."""
STABILITY = "stability"
SMALL_CHANGES = ("flip", "shift_left", "shift_right", "shift_up", "shift_down", "crop", "jpeg")
"""Changes after which a prediction should stay what it was (small_changes.py)."""
ALL = "all"
LEAST = 3
"""Pixels of a side, below which no change of a neighbourhood can be seen."""


def at_severity(corruption: str, severity: int) -> str:
    """Return the name of a corruption at a severity."""
    return f"{corruption}/{severity}"


def corruptions_of(words: Iterable[str]) -> tuple[str, ...]:
    """Return what words mean, `all`, `fog` (every severity) or `fog/3`, each once and in the order of CORRUPTIONS.

    Raises ValueError for a word that means none.
    """
    every = [at_severity(corruption, severity) for corruption in CORRUPTIONS for severity in SEVERITIES]
    chosen: set[str] = set()
    for word in words:
        meant = [name for name in every if word in (ALL, name, name.partition("/")[0])]
        if not meant:
            raise ValueError(
                f"expected all, or some of {', '.join(CORRUPTIONS)}, each alone or with a severity from 1 to 5 as in "
                f"fog/3, got {word!r}{nearest(word, CORRUPTIONS)}"
            )
        chosen.update(meant)
    return tuple(name for name in every if name in chosen)


def in_short(names: Iterable[str]) -> tuple[str, ...]:
    """Return the fewest words that mean these corruptions, the same however they were chosen."""
    chosen = list(names)
    if len(chosen) == len(CORRUPTIONS) * len(SEVERITIES):
        return (ALL,)
    whole = {corruption for corruption in CORRUPTIONS if len(severities(chosen, corruption)) == len(SEVERITIES)}
    return tuple(dict.fromkeys(kind if (kind := name.partition("/")[0]) in whole else name for name in chosen))


def severities(names: Iterable[str], corruption: str) -> list[str]:
    """Return the names of one corruption among names."""
    return [name for name in names if name.partition("/")[0] == corruption]


def small_changes() -> Sequence[str]:
    """Return the names of the alterations by which stability is measured."""
    return [f"{STABILITY}/{change}" for change in SMALL_CHANGES]
