"""Records of two models that are compared: written, and paired."""

import numpy as np
from conftest import make_result, metric

from mlcd_eval.records import ResultStore
from mlcd_eval.tables.comparison.compare import compare
from mlcd_eval.tables.comparison.pairing import load_side


def write(output, model, task_name, name, value, columns, others=(), **changes):
    """A record with a primary metric, others beside it, and outcomes."""
    result = make_result(model, task_name, [metric(name, value), *others]).model_copy(update=changes)
    return ResultStore(output).write(result, columns)


def right_or_wrong(only_a, only_b, both=10, neither=8):
    a = [1.0] * only_a + [0.0] * only_b + [1.0] * both + [0.0] * neither
    b = [0.0] * only_a + [1.0] * only_b + [1.0] * both + [0.0] * neither
    return a, b


def write_accuracy(output, task, a, b, name="acc1"):
    rank = "rank@20" if name == "knn_acc1@20" else "rank"
    for model, correct in (("a", a), ("b", b)):
        columns = {"key": [f"s{n}" for n in range(len(correct))], rank: [1 if right else 2 for right in correct]}
        write(output, model, task, name, float(np.mean(correct)), columns)


def compared(output):
    comparison = compare(load_side(output / "a"), load_side(output / "b"))
    return {task.task: task for task in comparison.tasks}, comparison
