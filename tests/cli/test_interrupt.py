"""Ctrl-C is reported once, however often it is pressed."""

import argparse
import os
import signal

from mlcd_eval.cli import guarded


def parser(run):
    made = argparse.ArgumentParser()
    made.set_defaults(run=run)
    return made


def press(_):
    os.kill(os.getpid(), signal.SIGINT)
    return 0


def test_one_line_and_then_silence(capsys):
    try:
        for _ in range(2):  # a second call in this process listens again
            assert guarded("prog", lambda: parser(press), []) == 130
            press(None)
            assert capsys.readouterr().err == "prog: interrupted; run the same command again to resume\n"
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
