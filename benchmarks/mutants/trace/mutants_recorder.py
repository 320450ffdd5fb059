"""A plugin of pytest: each test's outcome and seconds, a line each in the file $MUTANTS_TRACE.tests."""

import os

import sitecustomize


def pytest_collection_finish():
    sitecustomize.start()


def pytest_runtest_logreport(report):
    with open(os.environ["MUTANTS_TRACE"] + ".tests", "a") as file:  # noqa: PTH123
        file.write(f"{report.nodeid}\t{report.outcome}\t{report.duration}\n")
