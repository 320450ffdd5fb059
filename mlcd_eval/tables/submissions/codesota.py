"""CodeSOTA: the text of its issue form `Submit a result`."""

from __future__ import annotations

from mlcd_eval.tables.pwc import SotaRow
from mlcd_eval.tables.submissions.boards import Board, boards
from mlcd_eval.tables.submissions.submission import Options, Request, Submission, unique_slug

CHECKED = "I checked these numbers against the primary source myself (not via an LLM summary)"
AUTHOR = "I am an author of this work"


def submission(request: Request) -> Submission:
    """An issue per board and model. The boxes are left for the person who hands it in."""
    files = {
        f"{unique_slug(f'{row.model_name} on {board.task} {board.dataset}')}.md": _issue(board, row, request.options)
        for board in boards(request)
        for row in board.rows
    }
    return Submission(files)


def _issue(board: Board, row: SotaRow, options: Options) -> str:
    percent = [name for name in row.metrics if board.units.get(name) == "percent"]
    source = f"{options.paper} ({options.paper_title})" if options.paper_title else f"{options.paper}"
    answers = {
        "Benchmark / dataset": _line(f"{board.dataset}, {board.task}"),
        "Model / method name": _line(row.model_name),
        "Results": "\n".join(f"{name}: {value}" for name, value in row.metrics.items()),
        "Primary source": _line(source),
        "Code / weights": f"- Code: {options.code}" if options.code else "_No response_",
        "Comparability notes": f"Measured by mlcd-eval on {board.dates[row.model_name]}. "
        f"In per cent: {', '.join(percent) or 'none'}.",
        "Verification": f"- [ ] {CHECKED}\n- [ ] {AUTHOR}",
    }
    return "\n\n".join(f"### {label}\n\n{answer}" for label, answer in answers.items()) + "\n"


def _line(text: str) -> str:
    """The text in one line, so that it cannot begin a heading of the form."""
    return " ".join(text.split())
