"""How much of the text on a page encoders keep: the share of rendered words that are read, by letter height, and ANLS
on the bundled pages and on any other file in DocVQA's format, beside the probe's controls.

python -m benchmarks.reading [--data FILE ...] [SPEC ...]     by default pixels, EfficientNet-Lite, RapidOCR
"""

import argparse
import importlib.util
import platform
import tempfile
from pathlib import Path

import numpy as np

import mlcd_eval
from mlcd_eval.data import rendered
from mlcd_eval.protocols.docvqa import legibility
from mlcd_eval.protocols.docvqa.controls import LEGIBLE_HEIGHT
from mlcd_eval.protocols.docvqa.reading_probe import MEASURED
from mlcd_eval.support.bundled import demo_data_dir

DOCDEMO = demo_data_dir() / "docdemo" / "val_v1.0_withQT.json"
READER = "python:mlcd_eval.extras.rapidocr:reader"
MODELS = [
    "python:mlcd_eval.extras.pixels:side_448",
    "python:mlcd_eval.extras.pixels:side_896",
    "python:mlcd_eval.extras.efficientnet_lite:encoder",
    *([READER] if importlib.util.find_spec("rapidocr") else []),
]


def intervals(curve):
    return ", ".join(f"{e['from']:g}+ px {100 * e['word_accuracy']:.1f}% of {e['words']}" for e in curve)


def read_by_ocr(lines_of):
    """Two curves of an OCR engine, lines_of: picture -> lines of text with boxes. A word counts as read if a line
    around its middle has it between spaces, for the second curve if it has its letters in a row, since engines that
    read whole lines lose spaces."""
    heights, texts, as_words, as_letters = [], [], [], []
    measured = range(rendered.PAGES - rendered.PAGES // MEASURED, rendered.PAGES)
    for number in measured:
        key = rendered.key_of(number)
        lines = lines_of(rendered.coloured(number, rendered.ink(key)))
        for word in (word for word in rendered.words() if word.image == key):
            left, top, right, bottom = np.array(word.box) * rendered.SIDE
            x, y = (left + right) / 2, (top + bottom) / 2
            around = [line for line in lines if line.left <= x <= line.right and line.top <= y <= line.bottom]
            heights.append(word.letter_height * rendered.SIDE)
            texts.append(word.text)
            for readings, parts in ((as_words, str.split), (as_letters, lambda text: text)):
                found = any(word.text.lower() in parts(line.text.lower()) for line in around)
                readings.append(word.text.lower() if found else "")
    return [legibility.curve(heights, texts, readings) for readings in (as_words, as_letters)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="SPEC")
    parser.add_argument("--data", type=Path, action="append", default=[], metavar="FILE")
    args = parser.parse_args()
    print(f"{platform.machine()}, {rendered.PAGES} rendered pages, {len(rendered.words())} words")
    if READER in args.models:
        from mlcd_eval.extras.rapidocr import reader

        for curve, rule in zip(read_by_ocr(reader().lines), ("between spaces", "as letters in a row"), strict=True):
            read, count = legibility.word_accuracy(curve, LEGIBLE_HEIGHT)
            print(f"rapidocr, words of rendered pages at 896 pixels, {rule}: {intervals(curve)}")
            print(f"  from {LEGIBLE_HEIGHT} pixels on {100 * read:.1f}% of {count}")
    controls = {}
    with tempfile.TemporaryDirectory() as cache:
        for file in [DOCDEMO, *args.data]:
            for model in args.models:
                (result,) = mlcd_eval.evaluate(
                    model, "docvqa", datasets=[f"docvqa:{file}"], output=f"{cache}/{file.parent.name}", cache=cache
                )
                anls, mode = result.primary, result.task.settings["mode"]
                print(
                    f"{file.parent.name}, {anls.num_scored} questions, {result.model.name} ({mode}): "
                    f"anls {anls.value:.4f} [{anls.ci95[0]:.4f}, {anls.ci95[1]:.4f}], "
                    f"scored in {result.timing.score_s:.0f} s"
                )
                controls = result.details.get("controls", controls)
                if file == DOCDEMO and (reading := result.details.get("reading")):
                    low, high = reading["word_accuracy_ci95"]
                    print(
                        f"  words {reading['word_accuracy']:.4f} [{low:.4f}, {high:.4f}] of {reading['words']}, "
                        f"characters {reading['character_accuracy']:.4f}, smallest legible letter "
                        f"{reading['smallest_legible_letter']} pixels of {reading['image_side']}, ink explained "
                        f"{reading['ink_explained']:.3f}\n  {intervals(reading['curve'])}"
                    )
    for control in controls:
        side = ">=" if control["positive"] else "<="
        print(
            f"control, {control['name']}: {control['metric']} {control['value']:.4f} of {control['num_scored']} "
            f"(must be {side} {control['bound']:g}: {control['holds']})"
        )


if __name__ == "__main__":
    main()
