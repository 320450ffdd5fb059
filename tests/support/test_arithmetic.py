"""Exact fp32 whatever the user has set, by any of PyTorch's interfaces, and the user's settings afterwards."""

import os
import subprocess
import sys
import threading

import pytest
import torch

from mlcd_eval.support.arithmetic import exact_fp32

SETTINGS = [
    "",
    "torch.set_float32_matmul_precision('high')",
    "torch.set_float32_matmul_precision('medium')",
    "torch.backends.cuda.matmul.allow_tf32 = True",
    "torch.backends.cudnn.allow_tf32 = False",
    "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "torch.backends.cudnn.conv.fp32_precision = 'ieee'",
    "torch.backends.cudnn.fp32_precision = 'tf32'",
    "torch.backends.fp32_precision = 'tf32'",
    "torch.backends.fp32_precision = 'tf32'; torch.backends.cuda.matmul.fp32_precision = 'ieee'",
    "torch.backends.fp32_precision = 'tf32'; torch.backends.cudnn.allow_tf32 = False",
    "torch.backends.fp32_precision = 'tf32'; torch.set_float32_matmul_precision('highest')",
    "torch.set_float32_matmul_precision('high'); torch.backends.cuda.matmul.fp32_precision = 'ieee'",
    "torch.backends.mkldnn.matmul.fp32_precision = 'bf16'",
]

PROGRAM = """
import os, torch, torch.backends.cudnn, torch.backends.mkldnn
from mlcd_eval.support.arithmetic import exact_fp32

def read(text):
    try:
        return eval(text)
    except (RuntimeError, AttributeError) as error:
        return type(error).__name__

OLD = ["torch.get_float32_matmul_precision()"]
OLD += ["torch.backends." + name + ".allow_tf32" for name in ("cuda.matmul", "cudnn")]
NEW = ["torch.backends." + name + ".fp32_precision" for name in (
    "cuda.matmul", "cudnn.conv", "cudnn.rnn", "cudnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn")]
NEW += ["torch.backends.fp32_precision"]

def state():
    return {text: read(text) for text in OLD + NEW}

for setting in SETTINGS:
    child = os.fork()
    if child == 0:
        try:
            exec(setting)
        except AttributeError:
            os._exit(0)  # this torch has no such setting
        before = state()
        with exact_fp32(), exact_fp32():
            inside = state()
        reduced = [text for text in NEW[:3] + NEW[4:6] if inside[text] in ("tf32", "bf16")]
        allowed = [text for text in OLD if inside[text] in (True, "high", "medium")]
        unreadable = [text for text in OLD if inside[text] == "RuntimeError" != before[text]]
        if reduced or allowed or unreadable or not torch.backends.cudnn.enabled or state() != before:
            print(repr(setting), reduced, allowed, unreadable, before, state())
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, setting
"""


@pytest.mark.parametrize("environment", [{}, {"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"}])
def test_every_way_of_allowing_fewer_bits_is_undone_and_restored(environment):
    """In processes of their own, since the environment is read once and the settings are the whole process's."""
    done = subprocess.run(
        [sys.executable, "-c", f"SETTINGS = {SETTINGS!r}\n{PROGRAM}"],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


def test_the_last_of_several_threads_restores():
    inside, leave = threading.Event(), threading.Event()

    def work():
        with exact_fp32():
            inside.set()
            leave.wait(10)

    before = torch.backends.cudnn.allow_tf32
    assert before, "PyTorch's default"
    with exact_fp32():
        thread = threading.Thread(target=work)
        thread.start()
        inside.wait(10)
    assert not torch.backends.cudnn.allow_tf32
    leave.set()
    thread.join()
    assert torch.backends.cudnn.allow_tf32 == before


def test_an_error_restores():
    with pytest.raises(ZeroDivisionError), exact_fp32():
        raise ZeroDivisionError
    assert torch.backends.cudnn.allow_tf32
