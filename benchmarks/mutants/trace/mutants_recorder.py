"""A plugin of pytest: each test's outcome and seconds, a line each in the file $MUTANTS_TRACE.tests.

Seconds of the processor, also of ended children, which a busy machine does not change.
"""

import os

import sitecustomize

used = 0.0


def pytest_collection_finish():
    seconds_since_last()
    sitecustomize.start()


def pytest_runtest_logreport(report):
    with open(os.environ["MUTANTS_TRACE"] + ".tests", "a") as file:  # noqa: PTH123
        file.write(f"{report.nodeid}\t{report.outcome}\t{seconds_since_last()}\n")


def seconds_since_last():
    global used
    before, used = used, sum(os.times()[:4])
    return used - before
