"""The reading probe: a light character decoder on frozen patch features, trained by a fixed recipe.

Recipe 1: lower-case ASCII characters; the question passes through two transformer layers; patches are projected to 128
dimensions, with learned positions; a decoder of two layers attends to both and spells the answer greedily. AdamW, lr
1e-3 with 100 warm-up steps and cosine decay, weight decay 0.05, batches of 64 questions; the loss is the cross-entropy
of the next character. A change to the recipe raises RECIPE. The probe measures how much of the text an encoder keeps,
not what a language model could make of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mlcd_eval.data.base import Question
from mlcd_eval.errors import DataError
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.shared.patches import patches_of
from mlcd_eval.support.progress import Advance

RECIPE = 1
WIDTH, HEADS, LAYERS = 128, 4, 2
LONGEST_QUESTION, LONGEST_ANSWER = 96, 32
BATCH, LR, WARMUP, WEIGHT_DECAY = 64, 1e-3, 100, 0.05
PAD, START, END = 0, 1, 2
CHARACTERS = 3 + 95  # PAD, START, END and printable ASCII


class ReadingHead(nn.Module):
    """patches (B, h, w, D), questions (B, Q) and partial answers (B, A) -> logits of each next character (B, A, C)."""

    def __init__(self, patch_dim: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.patch = nn.Sequential(nn.LayerNorm(patch_dim), nn.Linear(patch_dim, WIDTH))
        self.patch_position = nn.Parameter(torch.randn(grid[0] * grid[1], WIDTH) * 0.02)
        self.character = nn.Embedding(CHARACTERS, WIDTH, padding_idx=PAD)
        self.question_position = nn.Parameter(torch.randn(LONGEST_QUESTION, WIDTH) * 0.02)
        self.answer_position = nn.Parameter(torch.randn(LONGEST_ANSWER + 1, WIDTH) * 0.02)
        options: dict[str, Any] = {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": True}
        self.question = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, **options), LAYERS, enable_nested_tensor=False
        )
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(WIDTH, HEADS, 4 * WIDTH, **options), LAYERS)
        self.out = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CHARACTERS))

    def memory(self, patches: Tensor, questions: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the decoder attends to (B, Q + h * w, W), and where that is padding."""
        padding = questions == PAD
        padding[:, 0] = False  # a question without any known character is all padding, and attention would give NaN
        question = self.question(self.character(questions) + self.question_position, src_key_padding_mask=padding)
        patch = self.patch(patches.flatten(1, 2)) + self.patch_position
        return torch.cat([question, patch], dim=1), torch.cat([padding, padding.new_zeros(patch.shape[:2])], dim=1)

    def forward(self, memory: tuple[Tensor, Tensor], answers: Tensor) -> Tensor:
        """Return the logits of the next character after each one, which attends to those before it."""
        length = answers.shape[1]
        later = torch.ones(length, length, dtype=torch.bool, device=answers.device).triu(1)
        x = self.character(answers) + self.answer_position[:length]
        return self.out(self.decoder(x, memory[0], tgt_mask=later, memory_key_padding_mask=memory[1]))


def spell(texts: Sequence[str], longest: int, ends: bool = False) -> Tensor:
    """Return texts as padded character codes (B, longest), without characters that are not printable ASCII.

    ends: whether END follows each text.
    """
    codes = torch.full((len(texts), longest), PAD)
    for row, text in enumerate(texts):
        letters = [ord(letter) - 32 + 3 for letter in text.lower() if 32 <= ord(letter) < 127][: longest - ends]
        letters = [*letters, END] if ends else letters
        codes[row, : len(letters)] = torch.tensor(letters, dtype=torch.int64)
    return codes


def unspell(codes: Tensor) -> str:
    """Return the text of character codes, up to END."""
    letters = []
    for code in codes.tolist():
        if code == END:
            break
        letters.append(chr(code - 3 + 32) if code > END else "")
    return "".join(letters).strip()


def read_answers(inputs: Inputs, questions: Sequence[Question], steps: int) -> tuple[list[str], dict[str, Any]]:
    """Train on the train split's questions. Return answers to the given questions, and details for the record."""
    train = [item for item in inputs.annotations["train"] if isinstance(item, Question) and item.answers]
    if not train:
        raise DataError("docvqa's probe has no question to learn from: got 0 in train, expected at least 1")
    with inputs.stage("training the probe", steps, "steps") as advance:
        rows = patches_of(inputs.images["train"], train, "train", inputs.device)
        head = _train(rows, train, steps, inputs.seed, inputs.device, advance)
    rows = patches_of(inputs.images["test"], questions, "test", inputs.device)
    answers: list[str] = []
    with torch.inference_mode(), inputs.stage("answers", len(questions), "answers") as advance:
        for begin in range(0, len(questions), BATCH):
            part = questions[begin : begin + BATCH]
            index = np.arange(begin, begin + len(part))
            codes = spell([question.text for question in part], LONGEST_QUESTION).to(inputs.device)
            memory = head.memory(rows(index), codes)
            answers += [unspell(answer) for answer in _greedy(head, memory, len(index))]
            advance(len(part))
    return answers, {"recipe": RECIPE, "num_train": len(train)}


def _greedy(head: ReadingHead, memory: tuple[Tensor, Tensor], count: int) -> Tensor:
    answers = torch.full((count, 1), START, device=memory[0].device)
    for _ in range(LONGEST_ANSWER):
        answers = torch.cat([answers, head(memory, answers)[:, -1].argmax(dim=1, keepdim=True)], dim=1)
    return answers[:, 1:].cpu()


def _train(
    rows: Callable[[np.ndarray], Tensor],
    train: Sequence[Question],
    steps: int,
    seed: int,
    device: str,
    advance: Advance,
) -> ReadingHead:
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        patches = rows(np.arange(1))
        head = ReadingHead(patches.shape[-1], (patches.shape[1], patches.shape[2])).to(device)
    optimizer = torch.optim.AdamW(head.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    questions = spell([question.text for question in train], LONGEST_QUESTION)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = LR * min(1, (step + 1) / WARMUP) * (1 + math.cos(math.pi * step / steps)) / 2
        index = rng.integers(len(train), size=BATCH)
        accepted = [train[number].answers or ("",) for number in index]
        chosen = [answers[rng.integers(len(answers))] for answers in accepted]
        target = spell(chosen, LONGEST_ANSWER + 1, ends=True).to(device)
        shifted = torch.cat([torch.full_like(target[:, :1], START), target[:, :-1]], dim=1)
        memory = head.memory(rows(index), questions[index].to(device))
        logits = head(memory, shifted)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        advance(1)
    return head.eval()
