"""argparse with one-sentence errors that name what was probably meant."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

from mlcd_eval.errors import nearest

COMMANDS_MEANT = {
    **dict.fromkeys(("eval", "evaluate", "test", "benchmark"), "run"),
    **dict.fromkeys(("list", "show", "tasks", "models", "datasets", "suites"), "ls"),
    **dict.fromkeys(("report", "results", "leaderboard", "tables"), "table"),
    **dict.fromkeys(("dry-run", "check"), "plan"),
    **dict.fromkeys(("diff", "versus"), "compare"),
    **dict.fromkeys(("repeat", "reproduce"), "rerun"),
    **dict.fromkeys(("info", "env", "version"), "doctor"),
}
"""Word of other programs -> the command here that does it."""

FLAGS_MEANT = {
    **dict.fromkeys(("--gpu", "--cuda", "--gpus"), "--device cuda"),
    **dict.fromkeys(("--cpu", "--no-cuda"), "--device cpu"),
    **dict.fromkeys(("--out", "--output-dir", "--save-dir", "--output-path", "-o"), "--output"),
    **dict.fromkeys(("--num-workers", "--nproc", "-j"), "--workers"),
    **dict.fromkeys(("--dtype", "--amp", "--half", "--bf16", "--fp16"), "--precision"),
    **dict.fromkeys(("--force", "--overwrite"), "--no-resume"),
    **dict.fromkeys(("--num-samples", "--max-samples"), "--limit"),
    **dict.fromkeys(("--root", "--dataset-root", "--data-dir"), "--data-root"),
    **dict.fromkeys(("--pretrained", "--checkpoint", "--model-type", "-m"), "--model"),
    **dict.fromkeys(("--task", "--benchmark", "-t"), "--tasks"),
    **dict.fromkeys(("--cache-dir",), "--cache"),
    **dict.fromkeys(("--setting", "--model-args"), "--set"),
}
"""Flag of other programs -> the flag here."""

VALUES_MEANT = {
    **dict.fromkeys(("gpu", "0", "cuda:0"), "cuda"),
    **dict.fromkeys(("float32", "full", "32"), "fp32"),
    **dict.fromkeys(("float16", "half", "16", "amp"), "fp16"),
    "bfloat16": "bf16",
    "md": "markdown",
    "tex": "latex",
}
"""Value of other programs -> the value here."""


class Parser(argparse.ArgumentParser):
    """argparse with one-sentence errors that name the nearest valid word; unknown flags come before missing ones.

    source: what the words are from if not the command line, such as a file, for messages.
    """

    source = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        formatter = partial(argparse.HelpFormatter, max_help_position=30)
        super().__init__(*args, **{"allow_abbrev": False, "formatter_class": formatter, **kwargs})
        self.set_defaults(parser=self)  # the innermost parser, which knows the flags that may have been meant

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and report unknown words before missing ones; the innermost parser does so first."""
        words = list(sys.argv[1:] if args is None else args)
        required = [action for action in self._actions if action.required]
        for action in required:
            action.required = False
        try:
            values, unknown = super().parse_known_args(words, namespace)
        finally:
            for action in required:
                action.required = True
        if unknown:
            values.parser._unrecognized(unknown, words)
        missing = [action for action in required if getattr(values, action.dest, None) in (None, [], argparse.SUPPRESS)]
        if missing:
            names = [action.option_strings[0] if action.option_strings else str(action.metavar) for action in missing]
            self.error(f"the following arguments are required: {', '.join(names)}")
        return values, unknown

    def error(self, message: str) -> NoReturn:
        """Print one sentence and exit with 2."""
        word = re.search("invalid choice: '([^']*)'", message)
        if word:
            hint = COMMANDS_MEANT.get(word[1]) if "argument COMMAND" in message else VALUES_MEANT.get(word[1])
            message += f" (did you mean {hint!r}?)" if hint else nearest(word[1], self._choices())
        print(f"{self.prog}: error: {self.source}{message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)

    def _unrecognized(self, unknown: Sequence[str], words: Sequence[str]) -> NoReturn:
        """Report words that nothing takes, and what each may have meant."""
        hints = [hint for word in unknown if (hint := self._hint(word, words))]
        self.error(f"unrecognized arguments: {' '.join(unknown)}{''.join(dict.fromkeys(hints))}")

    def _hint(self, word: str, words: Sequence[str]) -> str:
        flags = {flag: action for action in self._actions for flag in action.option_strings}
        if word.startswith("-"):
            name = word.partition("=")[0].replace("_", "-")
            meant = name if name in flags else FLAGS_MEANT.get(name, "")
            if meant.split(" ")[0] in flags:
                return f" (did you mean {meant!r}?)"
            return nearest(word, [flag for flag, action in flags.items() if action.help != argparse.SUPPRESS])
        before = [flag for flag in words[: words.index(word)] if flag.startswith("--")] if word in words else []
        flag = before[-1].partition("=")[0] if before else ""
        if flag == "--tasks":
            return " (tasks are separated by commas, without spaces: --tasks A,B)"
        if isinstance(flags.get(flag), argparse._AppendAction):
            return f" ({flag} takes one value: repeat it, {flag} A {flag} B)"
        if not before and "--model" in flags:
            return " (expected --model SPEC --tasks A,B)"
        return ""

    def _choices(self) -> list[str]:
        return [str(choice) for action in self._actions for choice in action.choices or ()]
