"""What the published weights of an architecture have in common, for weights that come without a config of their own."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

from mlcd_eval.encoders.spec import Spec
from mlcd_eval.errors import ConfigError, nearest

Setting = TypeVar("Setting", bound=object)


class PublishedWeightsDiffer(UserWarning):
    """Weights without a config were loaded by the setting of most published weights; others have another."""


def setting_of(
    spec: Spec, published: Mapping[str, Setting], what: str, show: Callable[[Setting], str] = str
) -> Setting | None:
    """The setting of all published weights, by tag, or of the tag that `?like=` names; None where nothing is published.

    what: what the setting is, in the plural ("images"); show: a setting in words. Where the tags differ, the setting of
    most is taken with a warning that names the others. Raises ConfigError for a tag that is not published.
    """
    like = spec.options.get("like")
    if like is not None and like not in published:
        raise ConfigError(
            f"--model {spec.text!r}: no published weights {like!r}, expected like= one of "
            f"{', '.join(published) or 'none'}{nearest(like, published)}"
        )
    if like is not None:
        return published[like]
    if not published:
        return None
    most, count = Counter(published.values()).most_common(1)[0]
    if count < len(published):
        others = "; ".join(f"{tag}: {show(value)}" for tag, value in published.items() if value != most)
        warnings.warn(
            f"--model {spec.text!r}: published weights of this architecture differ in their {what}. Taken is that of "
            f"{count} of {len(published)}, {show(most)} ({others}): ?like=TAG says which",
            PublishedWeightsDiffer,
            stacklevel=2,
        )
    return most
