"""A model card of the Hugging Face hub, with its model-index."""

from __future__ import annotations

from mlcd_eval.errors import ConfigError
from mlcd_eval.tables.boards.build import leaderboards
from mlcd_eval.tables.hub import push_to_hub, updated
from mlcd_eval.tables.submissions.submission import Request, Submission

CARD = "README.md"


def submission(request: Request) -> Submission:
    """The card in the output folder, or a new one, with our numbers in it."""
    from huggingface_hub import ModelCard

    if not request.results:
        return Submission()
    leaderboards(request.results)  # refuses two records that would share a cell
    present = request.present(CARD)
    card = None if present is None else ModelCard(present, ignore_metadata_errors=False)
    return Submission({CARD: str(updated(card, request.results))})


def send(request: Request) -> str:
    """Write the numbers into the card of the model's repository; returns the address of the commit."""
    if request.options.model_id is None:
        raise ConfigError("--send: a model card goes to a repository: expected --model-id ORG/NAME")
    return push_to_hub(request.results, request.options.model_id, allow_partial=request.allow_partial).strip()
