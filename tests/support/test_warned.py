"""Warnings of other libraries are said once, at the end, with their library and count."""

import logging
import warnings

import pytest

from mlcd_eval.support.progress import ConsoleProgress, Progress
from mlcd_eval.support.warned import collected_warnings, library_of


class Lines(Progress):
    verbosity = "normal"

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def warn_from(path, text, times=1):
    for _ in range(times):
        warnings.warn_explicit(text, UserWarning, path, 7, registry={})


def test_each_distinct_warning_is_said_once_at_the_end_with_its_library_and_count():
    progress = Lines()
    with collected_warnings(progress):
        warn_from("/venv/lib/site-packages/PIL/Image.py", "palette images\nsecond line", times=1200)
        warn_from("/venv/lib/site-packages/six.py", "old")
        logging.getLogger("transformers.models").warning("slow %s", "processor")
        assert progress.lines == []
    assert progress.lines[:2] == ["warning of PIL: palette images (1,200 times)", "warning of six: old"]
    assert progress.lines[2:] == [f"warning of {library_of(__file__)}: slow processor"]  # where the record was made


def test_our_own_warnings_are_said_at_once_and_not_again():
    progress = Lines()
    with collected_warnings(progress):
        warn_from("/src/mlcd_eval/features/predict.py", "stored predictions are damaged", times=2)
        assert progress.lines == ["warning: stored predictions are damaged"]
    assert len(progress.lines) == 1


def test_they_are_said_even_if_the_block_fails_and_everything_is_as_before():
    progress, before = Lines(), (logging.Logger.callHandlers, warnings.showwarning)
    with pytest.raises(KeyError), collected_warnings(progress):
        warn_from("/venv/lib/site-packages/timm/x.py", "text")
        raise KeyError
    assert progress.lines == ["warning of timm: text"]
    assert (logging.Logger.callHandlers, warnings.showwarning) == before


def test_errors_in_a_library_s_log_keep_their_handlers(caplog):
    with collected_warnings(Lines()):
        logging.getLogger("some.library").error("broken")
        logging.getLogger("some.library").warning("odd")
    assert [record.message for record in caplog.records] == ["broken"]


def test_quiet_shows_none_and_verbose_each_at_once_with_its_place(capsys):
    with collected_warnings(Progress()):
        warn_from("/venv/lib/site-packages/PIL/Image.py", "text")
    assert capsys.readouterr().err == ""
    with collected_warnings(ConsoleProgress(verbose=True)):
        warn_from("/venv/lib/site-packages/PIL/Image.py", "text", times=2)
        assert capsys.readouterr().err == "warning: /venv/lib/site-packages/PIL/Image.py:7: text\n"
    assert capsys.readouterr().err == ""


def test_library_of_a_file():
    installed = "/venv/lib/python3.11/site-packages"
    assert library_of(f"{installed}/open_clip/factory.py") == "open_clip"
    assert (
        library_of(f"{installed}/mlcd_eval/x.py") == library_of("/home/me/code/mlcd_eval/features/x.py") == "mlcd_eval"
    )
    assert library_of("/home/me/encoder.py") == "encoder"
