"""Files that would run code or write elsewhere if they could: each holds a payload that makes a file, and does not."""

import io
import json
import pickle
import shutil
import tarfile

import numpy as np
import open_clip
import pytest
import torch
import transformers as T
from pairs import picture, write_shard

from mlcd_eval.bundled import demo_data_dir
from mlcd_eval.cli import main
from mlcd_eval.data import open_dataset
from mlcd_eval.encoders.checkpoint import CheckpointConfig, load_checkpoint, save_checkpoint
from mlcd_eval.encoders.preprocess import Preprocess
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.errors import ConfigError, DataError, UserError
from mlcd_eval.spec.safe_yaml import read_yaml
from mlcd_train.assignment import load_labels
from mlcd_train.fit import new_model
from mlcd_train.state import TrainingState


class Payload:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.fixture
def made(tmp_path):
    """The file that a payload would make; it must not be there at the end."""
    path = tmp_path / "made_by_payload"
    yield path
    assert not path.exists()


def tower(text=None):
    vision = {"image_size": 16, "patch_size": 8, "width": 32, "depth": 1, "heads": 2}
    config = CheckpointConfig(vision=vision, text=text, preprocess=Preprocess(image_size=16))
    return new_model(config, 0, torch.device("cpu"))


def test_the_payload_works_where_pickles_are_trusted(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "x")))
    assert (tmp_path / "x").exists()


def test_a_checkpoint_folder_with_a_pickle_instead_of_safetensors(tmp_path, made):
    save_checkpoint(tmp_path / "c", tower())
    for name in ("model.pt", "pytorch_model.bin", "model.safetensors"):
        torch.save({"a": Payload(made)}, tmp_path / "c" / name)
    with pytest.raises(UserError, match="damaged or not a safetensors file"):
        load_encoder(str(tmp_path / "c"))
    (tmp_path / "c" / "model.safetensors").unlink()
    with pytest.raises(UserError, match="pickled weights are not read"):
        load_checkpoint(tmp_path / "c")


@pytest.mark.parametrize("suffix", ["pt", "bin", "pth"])
def test_a_state_dict_for_an_open_clip_architecture(tmp_path, made, suffix):
    torch.save({"state_dict": {"visual.proj": Payload(made)}}, tmp_path / f"w.{suffix}")
    with pytest.raises(UserError):
        load_encoder(f"open_clip:ViT-S-32-alt/{tmp_path}/w.{suffix}")


def test_an_open_clip_folder_with_a_pickle(tmp_path, made):
    config = open_clip.get_model_config("ViT-S-32-alt")
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    torch.save({"visual.proj": Payload(made)}, tmp_path / "open_clip_pytorch_model.bin")
    with pytest.raises(UserError):
        load_encoder(f"open_clip:local-dir:{tmp_path}")


def test_a_transformers_folder_with_a_pickle(tmp_path, made):
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    T.CLIPVisionModel(T.CLIPVisionConfig(**shape, image_size=8, patch_size=4)).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"vision_model.embeddings.class_embedding": Payload(made)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError):
        load_encoder(f"hf:{tmp_path}", offline=True)


def test_a_timm_checkpoint_with_a_pickle(tmp_path, made):
    pytest.importorskip("timm")
    torch.save({"state_dict": Payload(made)}, tmp_path / "w.pth")
    with pytest.raises(UserError):
        load_encoder(f"timm:vit_tiny_patch16_224?checkpoint={tmp_path}/w.pth")


def test_refs_of_refcoco(tmp_path, made):
    shutil.copytree(demo_data_dir() / "refer" / "refdemo", tmp_path / "r")
    (tmp_path / "r" / "refs(unc).p").write_bytes(pickle.dumps([Payload(made)]))
    with pytest.raises(DataError, match="is refused: its pickle asks for"):
        open_dataset(f"refer:{tmp_path}/r/unc/val")


def test_labels_and_training_states(tmp_path, made):
    (tmp_path / "labels.safetensors").write_bytes(pickle.dumps(Payload(made)))
    with pytest.raises(DataError, match="is not a label file"):
        load_labels(tmp_path / "labels.safetensors")
    place = tmp_path / "state" / "step_0000001"
    place.mkdir(parents=True)
    (place / "state.json").write_text('{"format_version": 1, "config": "x", "step": 1, "positions": {}, "scaler": {}}')
    torch.save(Payload(made), place / "model.safetensors")
    parameter = torch.nn.Parameter(torch.ones(1))
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    state = TrainingState([("p", parameter)], torch.optim.AdamW([parameter]), None, None, scaler)
    with pytest.raises(UserError, match="is damaged"):
        state.load(tmp_path / "state", "x")


def test_numpy_labels_with_objects(tmp_path, made):
    file = io.BytesIO()
    np.save(file, np.array([Payload(made)], dtype=object), allow_pickle=True)
    write_shard(tmp_path / "train" / "0.tar", [("a.png", picture("red", 0)), ("a.npy", file.getvalue())])
    (tmp_path / "train" / "nshards.txt").write_text("1")
    (tmp_path / "dataset_type.txt").write_text("multilabel")
    with pytest.raises(DataError):
        open_dataset(f"wds:{tmp_path}").split("train").scan()


def test_stored_features_with_objects(tmp_path, made):
    from tiny_encoder import TinyEncoder

    from mlcd_eval.features.encode import EncodeOptions, encode_split

    split = open_dataset(f"wds:{demo_data_dir()}/wds_demo_clipart").split("test")
    encode_split(TinyEncoder(), split, ["projected"], EncodeOptions(tmp_path))
    (path,) = tmp_path.rglob("features.npy")
    np.save(path, np.array([Payload(made)], dtype=object), allow_pickle=True)
    with pytest.warns(UserWarning, match="damaged"):
        encode_split(TinyEncoder(), split, ["projected"], EncodeOptions(tmp_path))


@pytest.mark.parametrize("kind", ["up", "absolute", "symlink", "hardlink"])
def test_tar_members_that_lead_out(tmp_path, made, kind):
    shard = tmp_path / "d" / "train" / "0.tar"
    write_shard(shard, [("a.png", picture("red", 0)), ("a.txt", b"red")])
    (tmp_path / "d" / "train" / "nshards.txt").write_text("1")
    (tmp_path / "d" / "dataset_type.txt").write_text("retrieval")
    name = {"up": "../../made_by_payload", "absolute": str(made)}.get(kind, "b.png")
    with tarfile.open(shard, "a") as archive:
        member = tarfile.TarInfo(name)
        if kind in ("symlink", "hardlink"):
            member.type = tarfile.SYMTYPE if kind == "symlink" else tarfile.LNKTYPE
            member.linkname = str(made)
            archive.addfile(member)
        else:
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    split = open_dataset(f"wds:{tmp_path}/d").split("train")
    before = set(tmp_path.rglob("*"))
    try:
        samples = [sample.key for part in split.shards for sample in part.samples()]
    except DataError:
        samples = ["a"]
    assert samples[0] == "a"
    assert set(tmp_path.rglob("*")) == before  # nothing is extracted


@pytest.mark.parametrize(
    "text", ["a: !!python/object/apply:os.system ['touch {made}']", "a: !!python/name:os.system", "a: !x 1"]
)
def test_yaml_with_tags(tmp_path, made, text):
    path = tmp_path / "t.yaml"
    path.write_text(text.replace("{made}", str(made)))
    with pytest.raises(ConfigError):
        read_yaml(path)
    with pytest.raises(UserError):
        main(["validate", str(path)]) and (_ for _ in ()).throw(ConfigError("told"))


def test_remote_code_without_the_flag(tmp_path, made, monkeypatch):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "evil.py").write_text(f"open({str(made)!r}, 'w')\nclass A: pass\n")
    auto = {
        "AutoConfig": "evil.A",
        "AutoModel": "evil.A",
        "AutoModelForImageTextToText": "evil.A",
        "AutoProcessor": "evil.A",
    }
    config = {"model_type": "evil", "auto_map": auto, "architectures": ["CLIPModel"]}
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    for kind in ("hf", "vlm", "hf-seg"):
        with pytest.raises(UserError):
            load_encoder(f"{kind}:{tmp_path}/m", offline=True)


def test_images_of_an_archive_bomb_are_refused(tmp_path):
    """A PNG whose header says 100,000 x 100,000: refused before any memory is taken."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )
    from mlcd_eval.data.images import decode

    with pytest.raises(DataError, match="DecompressionBomb"):
        decode(bomb, "bomb")
