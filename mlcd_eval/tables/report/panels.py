"""The sections of charts that records of some settings bring with them: one row each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mlcd_eval.records import Result
from mlcd_eval.tables.report.charts import Chart
from mlcd_eval.tables.report.depth import best_layers
from mlcd_eval.tables.report.efficiency import costs
from mlcd_eval.tables.report.few_shot import few_shot_curves
from mlcd_eval.tables.report.legibility import legibility


@dataclass(frozen=True)
class Panel:
    """A section. draw: records -> its charts, none where no record has what it shows. always: whether a page of very
    many numbers has it too. charts: what was drawn."""

    anchor: str
    heading: str
    note: str
    draw: Callable[[Sequence[Result]], list[Chart]]
    always: bool = True
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
        "costs",
        "What accuracy costs",
        "What an image costs the part of a model that it passes through, counted by PyTorch; a multiplication with its "
        "addition is two operations. The line joins the models that no cheaper one reaches.",
        costs,
        always=False,
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


def panels(results: Sequence[Result], many: bool) -> list[Panel]:
    """The panels that have something to show, drawn. many: whether the page holds very many numbers."""
    drawn = [replace(panel, charts=panel.draw(results)) for panel in PANELS if panel.always or not many]
    return [panel for panel in drawn if panel.charts]
