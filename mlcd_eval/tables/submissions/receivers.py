"""The receivers of `mlcd-eval submit`: one row each.

A new receiver is a function from a Request to a Submission, in a file of its own, and a row here; or, in another
package, a Receiver that its entry point of the group `mlcd_eval.receivers` names. Light: the command line lists them.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.support.registry import Registry

if TYPE_CHECKING:
    from mlcd_eval.records import Result
    from mlcd_eval.tables.submissions.submission import Options, Request, Submission


@dataclass(frozen=True)
class Receiver:
    """What is known of a receiver before it is used.

    function: MODULE:NAME of a function from a Request to a Submission. help: what it takes. rules: the version of its
    rules that the files follow, and what could not be verified. hand_in: what a person does with the files. takes,
    needs: names of Options that mean something to it, and those without which nothing can be written. one_model:
    whether its records must be those of one model. marks_partial: whether its form has a place that says that a number
    is over a part of the data. send: MODULE:NAME of a function that sends a Request and returns an
    address; None where there is no client, so that nothing is ever sent.
    """

    function: str
    help: str
    rules: str
    hand_in: str
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    one_model: bool = False
    marks_partial: bool = False
    send: str | None = None


HERE = "mlcd_eval.tables.submissions"
PAPER = ("paper", "paper_title", "paper_date", "code")
ROWS = {
    "huggingface": Receiver(
        f"{HERE}.huggingface:submission",
        "a file of .eval_results/, for a benchmark that is registered on the hub",
        "hub-docs at 064c7548, huggingface_hub 2.4; none of the shipped data sets was seen on the hub's list of "
        "benchmarks, of which only a part could be read: name yours by --benchmark",
        "open a pull request with the file on the model's repository",
        takes=("benchmark", "paper", "paper_title"),
        one_model=True,
        marks_partial=True,
    ),
    "model-index": Receiver(
        f"{HERE}.model_card:submission",
        "a model card, README.md, with its model-index",
        "huggingface_hub 2.4",
        "commit it to the model's repository, or give --send with --model-id ORG/NAME",
        takes=("model_id",),
        one_model=True,
        marks_partial=True,
        send=f"{HERE}.model_card:send",
    ),
    "opencodepapers": Receiver(
        f"{HERE}.opencodepapers:submission",
        "a JSON file per board; boards in the output folder get a row each",
        "tests/test_benchmark_files.py at 09d19782, CONTRIBUTING.md at 00558bca; of names of boards only those in "
        "TITLES were verified",
        "let --output be dataset/benchmarks of a checkout, then open a merge request",
        takes=PAPER,
        needs=("paper", "paper_title"),
    ),
    "codesota": Receiver(
        f"{HERE}.codesota:submission",
        "the text of an issue per board and model",
        "submit_result.yml at a904dc35; the fields of registry/benchmark_results.json could not be read",
        "paste it into the form `Submit a result`, after checking every number",
        takes=PAPER,
        needs=("paper",),
    ),
    "paper-with-me": Receiver(
        f"{HERE}.paper_with_me:submission",
        "contributions/*.json, an object per row",
        "pwc/contrib.py at 97cb5309, CONTRIBUTING.md at a1d73d52",
        "let --output be a checkout, then open a pull request",
        takes=PAPER,
    ),
    "every-eval-ever": Receiver(
        f"{HERE}.every_eval_ever:submission",
        "data/mlcd-eval/DEVELOPER/MODEL/UUID.json, with intervals and numbers of samples",
        "eval.schema.json 0.2.1 at 0666632d, validation_core.py at 21b3d1ab; whether repositories exist is not checked",
        "open a pull request with the files on the data set evaleval/EEE_datastore",
        takes=("model_id", "organization", "relationship", "paper_title"),
        needs=("model_id", "organization", "relationship"),
        one_model=True,
    ),
    "pwc-archive": Receiver(
        f"{HERE}.pwc_archive:submission",
        "evaluation-tables.json of Papers with Code; the one in the output folder gets a row each",
        "sota-extractor at 4f571ebb (taskdb/v01); the archive itself could not be read",
        "keep it: the site is closed, its archive is read by others",
        takes=PAPER,
    ),
}
RECEIVERS: Registry[Receiver] = Registry("receiver", "mlcd_eval.receivers", ROWS)


def prepare(
    to: str, results: Sequence[Result], options: Options, output: Path, allow_partial: bool = False
) -> tuple[Request, Submission]:
    """What would be given to a receiver; nothing is written or sent.

    output: the folder whose files are extended where the receiver has files of several contributors. allow_partial:
    whether records of --limit are taken. Raises ConfigError
    for options that do not go with the receiver, DataError for records that it cannot take together.
    """
    from mlcd_eval.tables.submissions.submission import Request, submittable

    row = RECEIVERS[to]
    _check_options(to, row, options)
    if allow_partial and not row.marks_partial:
        takers = " or ".join(other for other, known in ROWS.items() if known.marks_partial)
        raise ConfigError(f"--allow-partial goes with --to {takers}: got --to {to}, which cannot mark such numbers")
    accepted, refused = submittable(results, allow_partial)
    models = list(dict.fromkeys(result.model.name for result in accepted))
    if row.one_model and len(models) > 1:
        raise DataError(f"--to {to} takes records of one model: got records of {', '.join(models)}")
    request = Request(accepted, options, lambda path: _text(output / path), allow_partial)
    write = cast("Callable[[Request], Submission]", pkgutil.resolve_name(row.function))
    submission = write(request)
    submission.refused[:0] = refused
    return request, submission


def send(to: str, request: Request) -> str:
    """Send a request; returns the address. Raises ConfigError where there is no client."""
    row = RECEIVERS[to]
    if row.send is None:
        raise ConfigError(f"--send: there is no client for {to}: {row.hand_in}")
    return cast("Callable[[Request], str]", pkgutil.resolve_name(row.send))(request)


def _check_options(to: str, row: Receiver, options: Options) -> None:
    values = options.model_dump()
    if missing := [_flag(name) for name in row.needs if values[name] is None]:
        raise ConfigError(f"--to {to} needs {', '.join(missing)}")
    for name, value in values.items():
        if value is not None and name not in row.takes:
            takers = [other for other, known in ROWS.items() if name in known.takes]
            raise ConfigError(f"{_flag(name)} goes with --to {' or '.join(takers)}: got --to {to}")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8: expected a file of the receiver") from error
