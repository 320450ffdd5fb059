"""Vision-language models: a tiny LLaVA built from configs, loaded by the code that loads a real one; stand-ins of the
interfaces of MLCD-Seg (remote code) and of VLMEvalKit."""

import json
import sys
import types

import numpy as np
import pytest
import torch
import transformers as T
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from mlcd_eval.cli import main
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.errors import CheckpointError, ConfigError, IncompatibleError
from mlcd_eval.records import read

WORDS = [
    "<pad>",
    "<s>",
    "</s>",
    "<unk>",
    "<image>",
    "what",
    "is",
    "the",
    "date",
    "answer",
    "question",
    "USER",
    ":",
    "?",
]
IMAGES = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue", "green")]
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] | upper }} : {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image> {% else %}{{ c['text'] }} {% endif %}{% endfor %}{% endfor %}"
)


def save_llava(folder, template=TEMPLATE):
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = T.LlavaConfig(
        vision_config=T.CLIPVisionConfig(**shape, image_size=28, patch_size=14),
        text_config=T.LlamaConfig(
            **shape, vocab_size=len(WORDS), max_position_embeddings=128, pad_token_id=0, bos_token_id=1, eos_token_id=2
        ),
        image_token_index=WORDS.index("<image>"),
    )
    model = T.LlavaForConditionalGeneration(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    model.save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens(["<image>", "<pad>", "<s>", "</s>"])
    fast = T.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    images = T.CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    processor = T.LlavaProcessor(
        images, fast, patch_size=14, vision_feature_select_strategy="default", chat_template=template,
        num_additional_image_tokens=1,
    )  # fmt: skip
    processor.save_pretrained(folder)
    return model, processor


def greedy(model, processor, image, prompt, steps):
    """Token by token, without generate."""
    inputs = processor(images=image, text=prompt, return_tensors="pt")
    ids = inputs["input_ids"]
    made = []
    for _ in range(steps):
        with torch.inference_mode():
            logits = model(input_ids=ids, pixel_values=inputs["pixel_values"]).logits[0, -1]
        token = int(logits.argmax())
        if token == 2:
            break
        made.append(token)
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)
    return processor.tokenizer.decode(made, skip_special_tokens=True).strip()


def test_answers_are_greedy_and_do_not_depend_on_the_batch(tmp_path):
    model, processor = save_llava(tmp_path)
    encoder = load_encoder(f"vlm:{tmp_path}", offline=True)
    assert encoder.info.abilities == ("answer",) and encoder.info.num_params > 10_000
    questions = ["what is the date ?", "what ?", "question : the answer is the date ?"]
    expected = [
        greedy(model, processor, image, f"USER : <image> {question} ", 6)
        for image, question in zip(IMAGES, questions, strict=True)
    ]
    assert encoder.answer(IMAGES, questions, max_new_tokens=6) == expected
    assert [encoder.answer([i], [q], 6)[0] for i, q in zip(IMAGES, questions, strict=True)] == expected
    assert len(set(expected)) > 1 or expected[0] != ""


def test_without_a_chat_template_the_image_stands_before_the_question(tmp_path):
    model, processor = save_llava(tmp_path, template=None)
    encoder = load_encoder(f"vlm:{tmp_path}")
    assert "none" in encoder.info.extra["chat_template"]
    [answer] = encoder.answer(IMAGES[:1], ["what is the date ?"], 1)
    assert answer == greedy(model, processor, IMAGES[0], "<image>\nwhat is the date ?", 1)


def test_precision_counts_with_a_device_map_too(tmp_path):
    pytest.importorskip("accelerate")
    save_llava(tmp_path)
    encoder = load_encoder(f"vlm:{tmp_path}?device_map=cpu", offline=True).to(torch.device("cpu"), "bf16")
    assert encoder.model.dtype == torch.bfloat16 and encoder.device == torch.device("cpu")
    assert len(encoder.answer(IMAGES, ["what ?"] * 3, 2)) == 3


def test_a_bf16_checkpoint_stays_bf16(tmp_path):
    model, _ = save_llava(tmp_path)
    assert load_encoder(f"vlm:{tmp_path}", offline=True).info.extra["checkpoint_dtype"] == "float32"
    model.to(torch.bfloat16).save_pretrained(tmp_path)
    encoder = load_encoder(f"vlm:{tmp_path}", offline=True)
    assert encoder.to(torch.device("cpu"), "fp32").model.dtype == torch.bfloat16
    assert encoder.info.extra["checkpoint_dtype"] == "bfloat16"
    assert encoder.to(torch.device("cpu"), "fp16").model.dtype == torch.float16


def test_docvqa_by_a_vision_language_model(tmp_path):
    save_llava(tmp_path / "llava")
    flags = ["run", "--model", f"vlm:{tmp_path}/llava", "--tasks", "docvqa/demo", "--output", str(tmp_path / "out")]
    assert main([*flags, "--cache", str(tmp_path / "cache"), "--limit", "5", "--batch-size", "2"]) == 0
    record = read(tmp_path / "out" / "llava" / "docvqa__demo.json")
    assert record.task.settings["mode"] == "native" and record.dataset.num_samples == 5
    assert record.model.extra["chat_template"] == "the processor's"


def test_what_cannot_be_loaded_is_explained(tmp_path):
    with pytest.raises(CheckpointError, match="no folder"):
        load_encoder(f"vlm:{tmp_path}/none")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"no weights in .*, expected model\.safetensors$"):
        load_encoder(f"vlm:{tmp_path}")
    with pytest.raises(ConfigError, match="got option device_mp=auto"):
        load_encoder(f"vlm:{tmp_path}?device_mp=auto")


REMOTE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel

class StandInConfig(PretrainedConfig):
    model_type = "stand_in_seg"

class StandIn(PreTrainedModel):
    config_class = StandInConfig

    def __init__(self, config):
        super().__init__(config)
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.post_init()

    def seg(self, image, prompt, tokenizer, force_seg=False):
        assert force_seg and tokenizer is not None
        width, height = image.size
        mask = torch.zeros(height, width)
        side = prompt.split("segmentation mask for the ")[1].split(" in this image?")[0]
        mask[:, : width // 2] = 1.0 if side == "left" else 0.0
        mask[:, width // 2 :] = 1.0 if side == "right" else 0.0
        return mask
"""


def save_stand_in(folder):
    folder.mkdir()
    (folder / "modeling_stand_in.py").write_text(REMOTE)
    classes = {"AutoConfig": "modeling_stand_in.StandInConfig", "AutoModel": "modeling_stand_in.StandIn"}
    (folder / "config.json").write_text(json.dumps({"model_type": "stand_in_seg", "auto_map": classes}))
    from safetensors.torch import save_file

    save_file({"scale": torch.ones(1)}, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    T.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(folder)


def test_remote_code_segments_only_when_allowed(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    save_stand_in(tmp_path / "seg")
    with pytest.raises(ConfigError, match="runs code that its repository ships: expected --trust-remote-code"):
        load_encoder(f"hf-seg:{tmp_path}/seg")
    encoder = load_encoder(f"hf-seg:{tmp_path}/seg", trust_remote_code=True)
    mask = encoder.segment(IMAGES[0], "right")
    assert mask.shape == (30, 40) and mask.dtype == bool
    assert not mask[:, :20].any() and mask[:, 20:].all()
    assert encoder.info.abilities == ("segment",) and encoder.info.extra["force_seg"] == "true"
    assert (encoder.info.num_params, encoder.info.has_text, encoder.info.layers) == (1, False, {})
    assert not encoder.model.training and not encoder.model.scale.requires_grad
    assert encoder.to(torch.device("cpu"), "bf16") is encoder and encoder.model.scale.dtype == torch.bfloat16
    assert encoder.device == torch.device("cpu")
    masks = {"list": [torch.tensor([[-1.0, 2.0]])], "tuple": (np.array([[0, 1]]),), "array": np.array([[0, 1]])}
    for mask in masks.values():
        monkeypatch.setattr(encoder.model, "seg", lambda *_, mask=mask, **__: mask)
        assert encoder.segment(IMAGES[0], "right").tolist() == [[False, True]]


def test_a_model_without_seg_is_refused(tmp_path):
    T.CLIPVisionModel(
        T.CLIPVisionConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    ).save_pretrained(tmp_path)
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    T.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(tmp_path)
    with pytest.raises(IncompatibleError, match="CLIPVisionModel has no seg"):
        load_encoder(f"hf-seg:{tmp_path}", trust_remote_code=True)


class Kit:
    def __init__(self):
        self.model = torch.nn.Linear(2, 2)

    def generate(self, message, dataset=None):
        image, text = (item["value"] for item in message)
        assert [item["type"] for item in message] == ["image", "text"]
        return f" {np.asarray(Image.open(image))[0, 0, 0]} {text}"


def test_models_of_vlmevalkit(monkeypatch):
    with pytest.raises(ConfigError, match="needs vlmeval, which is not installed"):
        load_encoder("vlmevalkit:kit")
    package, config = types.ModuleType("vlmeval"), types.ModuleType("vlmeval.config")
    package.__spec__ = types.SimpleNamespace(name="vlmeval")
    config.supported_VLM = {"kit_7b": Kit}
    monkeypatch.setitem(sys.modules, "vlmeval", package)
    monkeypatch.setitem(sys.modules, "vlmeval.config", config)
    encoder = load_encoder("vlmevalkit:kit_7b")
    assert encoder.answer(IMAGES[:2], ["a?", "b?"]) == ["255 a?", "0 b?"]
    assert encoder.to(torch.device("cuda"), "bf16") is encoder and encoder.device == torch.device("cpu")
    assert (encoder.info.num_params, encoder.info.has_text, encoder.info.abilities) == (6, False, ("answer",))
    known = encoder.info.fingerprint
    for name, value in (("temperature", 0.5), ("kwargs", {"top_p": 1})):
        monkeypatch.setattr(Kit, "__init__", lambda self, name=name, value=value: vars(self).update({name: value}))
        assert load_encoder("vlmevalkit:kit_7b").info.fingerprint != known
    with pytest.raises(ConfigError, match="did you mean 'kit_7b'"):
        load_encoder("vlmevalkit:kit_8b")
