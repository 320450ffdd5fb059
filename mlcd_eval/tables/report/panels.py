"""The sections of charts that records of some settings bring with them: one row each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mlcd_eval.records import Result
from mlcd_eval.tables.report.charts import Chart
from mlcd_eval.tables.report.depth import best_layers
from mlcd_eval.tables.report.few_shot import few_shot_curves
from mlcd_eval.tables.report.legibility import legibility


@dataclass(frozen=True)
class Panel:
    """A section. draw: records -> its charts, none where no record has what it shows. charts: what was drawn."""

    anchor: str
    heading: str
    note: str
    draw: Callable[[Sequence[Result]], list[Chart]]
    charts: Sequence[Chart] = ()


PANELS = (
    Panel(
        "few-shot",
        "Few-shot curves",
        "Means over seeded draws of the train images, with 95% intervals of the mean over draws; the test images are "
        "the same in all of them, and the tables' intervals are over these.",
        few_shot_curves,
    ),
    Panel(
        "best-layers",
        "Best layers",
        "Probes of every block, scored on rows of train that are held out, with 95% intervals over these rows. The "
        "best one alone was scored on test.",
        best_layers,
    ),
    Panel(
        "legibility",
        "Smallest legible letters",
        "The share of rendered words that are read in the features of patches, by the height of a capital in pixels of "
        "what the model sees, beside the controls.",
        legibility,
    ),
)


def panels(results: Sequence[Result]) -> list[Panel]:
    """The panels that have something to show, drawn."""
    drawn = [replace(panel, charts=panel.draw(results)) for panel in PANELS]
    return [panel for panel in drawn if panel.charts]
