"""Files that try to run code or to write elsewhere: each holds a payload that would create a file, and must not."""

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
from conftest import make_result
from pairs import picture, write_shard
from payloads import Payload, tower
from safetensors.torch import save_file

from mlcd_eval.cli import main
from mlcd_eval.data import open_dataset
from mlcd_eval.encoders.adapters.checkpoint import load_checkpoint, save_checkpoint
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.errors import ConfigError, DataError, UserError
from mlcd_eval.records import RequestRecord, ResultStore
from mlcd_eval.support.bundled import demo_data_dir
from mlcd_eval.support.documents import read_yaml
from mlcd_train.clustering import load_centres
from mlcd_train.labels import LabelFiles, LabelsInfo, join_pieces, write_piece
from mlcd_train.state import TrainingState


@pytest.fixture
def payload_file(tmp_path):
    """The file that a payload would create, which must not exist at the end."""
    path = tmp_path / "made_by_payload"
    yield path
    assert not path.exists()


def test_the_payload_works_where_pickles_are_trusted(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "x")))
    assert (tmp_path / "x").exists()


def test_a_checkpoint_folder_with_a_pickle_instead_of_safetensors(tmp_path, payload_file):
    save_checkpoint(tmp_path / "c", tower())
    for name in ("model.pt", "pytorch_model.bin", "model.safetensors"):
        torch.save({"a": Payload(payload_file)}, tmp_path / "c" / name)
    with pytest.raises(UserError, match="damaged or not a safetensors file"):
        load_encoder(str(tmp_path / "c"))
    (tmp_path / "c" / "model.safetensors").unlink()
    with pytest.raises(UserError, match="pickled weights are not read"):
        load_checkpoint(tmp_path / "c")


@pytest.mark.parametrize("suffix", ["pt", "bin", "pth", "npz"])
def test_a_state_dict_for_an_open_clip_architecture(tmp_path, payload_file, suffix):
    if suffix == "npz":  # big_vision's form
        np.savez(tmp_path / "w.npz", array=np.array([Payload(payload_file)], dtype=object))
    else:
        torch.save({"state_dict": {"visual.proj": Payload(payload_file)}}, tmp_path / f"w.{suffix}")
    with pytest.raises(UserError):
        load_encoder(f"open_clip:ViT-S-32-alt/{tmp_path}/w.{suffix}")


def test_an_open_clip_folder_with_a_pickle(tmp_path, payload_file):
    config = open_clip.get_model_config("ViT-S-32-alt")
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    torch.save({"visual.proj": Payload(payload_file)}, tmp_path / "open_clip_pytorch_model.bin")
    with pytest.raises(UserError):
        load_encoder(f"open_clip:local-dir:{tmp_path}")


def test_a_transformers_folder_with_a_pickle(tmp_path, payload_file):
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    T.CLIPVisionModel(T.CLIPVisionConfig(**shape, image_size=8, patch_size=4)).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"vision_model.embeddings.class_embedding": Payload(payload_file)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError):
        load_encoder(f"hf:{tmp_path}", offline=True)


def test_a_timm_checkpoint_with_a_pickle(tmp_path, payload_file):
    pytest.importorskip("timm")
    torch.save({"state_dict": Payload(payload_file)}, tmp_path / "w.pth")
    with pytest.raises(UserError):
        load_encoder(f"timm:vit_tiny_patch16_224?checkpoint={tmp_path}/w.pth")


def tiny_open_clip(folder, **text):
    """Write a folder as open_clip saves it and return its spec. text: more of its text_cfg."""
    vision = {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}
    text = {"context_length": 8, "vocab_size": 100, "width": 16, "heads": 2, "layers": 1, **text}
    folder.mkdir()
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    known = {key: value for key, value in text.items() if key != "hf_model_name"}
    model = open_clip.CLIP(16, open_clip.CLIPVisionCfg(**vision), open_clip.CLIPTextCfg(**known))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return f"open_clip:local-dir:{folder}"


def code_beside(folder, payload_file, name="A"):
    """Write a module that creates the file, and return an auto_map that names it."""
    (folder / "evil.py").write_text(f"open({str(payload_file)!r}, 'w')\nclass {name}: pass\n")
    kinds = ("AutoConfig", "AutoModel", "AutoImageProcessor", "AutoProcessor")
    return {**dict.fromkeys(kinds, f"evil.{name}"), "AutoTokenizer": [f"evil.{name}", f"evil.{name}"]}


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Redirect where transformers copies a repository's code, and fail if a library asks a question."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a library asks whether code may run"))


@pytest.mark.parametrize("trusted", [{}, {"tokenizer_kwargs": {"trust_remote_code": True}}])
def test_an_open_clip_folder_whose_tokenizer_brings_code(tmp_path, payload_file, modules, trusted):
    """open_clip hands tokenizer_kwargs of the folder's config on to transformers."""
    spec = tiny_open_clip(tmp_path / "m", hf_tokenizer_name="any", **trusted)
    auto = code_beside(tmp_path / "m", payload_file)
    (tmp_path / "m" / "tokenizer_config.json").write_text(json.dumps({"auto_map": auto, "tokenizer_class": "A"}))
    with pytest.raises(UserError, match=r"cannot be loaded: .*custom code"):
        load_encoder(spec)


def test_an_open_clip_folder_whose_text_tower_brings_code(tmp_path, payload_file, modules):
    spec = tiny_open_clip(tmp_path / "m", hf_model_name=str(tmp_path / "m"), hf_tokenizer_name="any")
    auto = code_beside(tmp_path / "m", payload_file)
    (tmp_path / "m" / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": auto}))
    with pytest.raises(UserError, match=r"cannot be loaded: .*custom code"):
        load_encoder(spec)


@pytest.mark.parametrize("file", ["config", "tokenizer_config", "preprocessor_config", "processor_config"])
def test_code_beside_a_transformers_model_does_not_run(tmp_path, payload_file, modules, file):
    """The weights are valid, and one config names a class in its folder: it is refused, or a known class is used."""
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = T.CLIPConfig(
        text_config={**shape, "vocab_size": 20}, vision_config={**shape, "image_size": 8, "patch_size": 4}
    )
    T.CLIPModel(config).save_pretrained(tmp_path / "m")
    path = tmp_path / "m" / f"{file}.json"
    values = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**values, "auto_map": code_beside(tmp_path / "m", payload_file)}))
    with pytest.raises(UserError):  # if not for the code, because there is no tokenizer
        load_encoder(f"hf:{tmp_path}/m", offline=True)


@pytest.mark.parametrize("name", ["CIFAR10", "MNIST", "ImageNet", "LSUN", "PhotoTour"])
def test_pickles_where_torchvision_keeps_some(tmp_path, payload_file, name):
    for folder in ("cifar-10-batches-py", "MNIST/processed", "train", "val"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(1, 6):
        (tmp_path / "cifar-10-batches-py" / f"data_batch_{number}").write_bytes(pickle.dumps(Payload(payload_file)))
    for file in ("cifar-10-batches-py/test_batch", "cifar-10-batches-py/batches.meta", "_cache_"):
        (tmp_path / file).write_bytes(pickle.dumps(Payload(payload_file)))
    for file in ("MNIST/processed/training.pt", "MNIST/processed/test.pt", "meta.bin"):
        torch.save(Payload(payload_file), tmp_path / file)
    with pytest.raises(UserError):
        open_dataset(f"torchvision:{name}?root={tmp_path}")


@pytest.mark.parametrize("file", ["d.py", "train.pkl", "train.pickle"])
def test_code_and_pickles_in_a_folder_for_hugging_faces_datasets(tmp_path, payload_file, file):
    pytest.importorskip("datasets")
    (tmp_path / "d").mkdir()
    code = f"open({str(payload_file)!r}, 'w')\n".encode()
    (tmp_path / "d" / file).write_bytes(code if file.endswith("py") else pickle.dumps(Payload(payload_file)))
    with pytest.raises(DataError, match="cannot open dataset"):
        open_dataset(f"hf:{tmp_path}/d", offline=True)


def test_pickles_in_a_tar_that_hugging_faces_datasets_reads(tmp_path, payload_file, monkeypatch):
    """It reads `pyd` as bytes, and of `pth` only tensors."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    for end in ("pyd", "pth"):
        payload = pickle.dumps(Payload(payload_file), protocol=2)
        members = [("a.png", picture("red", 0)), ("a.cls", b"0"), (f"a.{end}", payload)]
        write_shard(tmp_path / end / "train.tar", members)
    (shard,) = open_dataset(f"hf:{tmp_path}/pyd", offline=True).split("train").shards
    assert [sample.label for sample in shard.samples()] == [0]
    with pytest.raises(DataError, match="Weights only load failed"):
        open_dataset(f"hf:{tmp_path}/pth", offline=True)


def test_refs_of_refcoco(tmp_path, payload_file):
    shutil.copytree(demo_data_dir() / "refer" / "refdemo", tmp_path / "r")
    (tmp_path / "r" / "refs(unc).p").write_bytes(pickle.dumps([Payload(payload_file)]))
    with pytest.raises(DataError, match="is refused: its pickle asks for"):
        open_dataset(f"refer:{tmp_path}/r/unc/val")


def test_labels_and_training_states(tmp_path, payload_file):
    labels = tmp_path / "labels"
    write_piece(labels, 0, ["a"], torch.zeros(1, 1, dtype=torch.int64))
    join_pieces(labels, LabelsInfo(1, 1, 2, "d", "c"))
    for name in ("rows_00000.npy", "buckets.npy", "labels.json"):
        (labels / name).write_bytes(pickle.dumps(Payload(payload_file)))
        with pytest.raises(DataError, match="holds no labels"):
            LabelFiles(labels)
    with pytest.raises(UserError):
        load_centres(labels / "buckets.npy")
    folder = tmp_path / "state" / "step_0000001"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text('{"format_version": 1, "config": "x", "step": 1, "positions": {}, "scaler": {}}')
    torch.save(Payload(payload_file), folder / "model.safetensors")
    parameter = torch.nn.Parameter(torch.ones(1))
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    state = TrainingState([("p", parameter)], torch.optim.AdamW([parameter]), None, {}, scaler)
    with pytest.raises(UserError, match="is damaged"):
        state.load(tmp_path / "state", "x")


@pytest.mark.parametrize("place", ["models", "text_encoder"])
def test_a_record_that_names_code(tmp_path, payload_file, place, capsys):
    spec = f"python:os:system?command=touch {payload_file}"
    options = {"models": [spec], "tasks": ["knn/demo_clipart"]}
    if place == "text_encoder":
        options = {"models": ["open_clip:ViT-B-32/openai"], "tasks": ["refcoco/demo"], "settings": {place: spec}}
    request = RequestRecord(command="", dataset="", options=options)
    record = make_result(task=options["tasks"][0], request=request)
    ResultStore(tmp_path).write(record)
    assert main(["rerun", str(ResultStore(tmp_path).path(record))]) == 2
    assert f"runs code of its model, '{spec}': expected --trust-remote-code" in capsys.readouterr().err


def test_numpy_labels_with_objects(tmp_path, payload_file):
    file = io.BytesIO()
    np.save(file, np.array([Payload(payload_file)], dtype=object), allow_pickle=True)
    write_shard(tmp_path / "train" / "0.tar", [("a.png", picture("red", 0)), ("a.npy", file.getvalue())])
    (tmp_path / "train" / "nshards.txt").write_text("1")
    (tmp_path / "dataset_type.txt").write_text("multilabel")
    with pytest.raises(DataError):
        open_dataset(f"wds:{tmp_path}").split("train").scan()


def test_stored_features_with_objects(tmp_path, payload_file):
    from tiny_encoder import TinyEncoder

    from mlcd_eval.features.encode import EncodeOptions, encode_split

    split = open_dataset(f"wds:{demo_data_dir()}/wds_demo_clipart").split("test")
    encode_split(TinyEncoder(), split, ["projected"], EncodeOptions(tmp_path))
    paths = list(tmp_path.rglob("features.npy"))
    assert len(paths) == 2  # both pooled layers are kept
    for path in paths:
        np.save(path, np.array([Payload(payload_file)], dtype=object), allow_pickle=True)
    with pytest.warns(UserWarning, match="damaged"):
        encode_split(TinyEncoder(), split, ["projected"], EncodeOptions(tmp_path))


@pytest.mark.parametrize("kind", ["up", "absolute", "symlink", "hardlink"])
def test_tar_members_that_lead_out(tmp_path, payload_file, kind):
    shard = tmp_path / "d" / "train" / "0.tar"
    write_shard(shard, [("a.png", picture("red", 0)), ("a.txt", b"red")])
    (tmp_path / "d" / "train" / "nshards.txt").write_text("1")
    (tmp_path / "d" / "dataset_type.txt").write_text("retrieval")
    name = {"up": "../../made_by_payload", "absolute": str(payload_file)}.get(kind, "b.png")
    with tarfile.open(shard, "a") as archive:
        member = tarfile.TarInfo(name)
        if kind in ("symlink", "hardlink"):
            member.type = tarfile.SYMTYPE if kind == "symlink" else tarfile.LNKTYPE
            member.linkname = str(payload_file)
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
    "text", ["a: !!python/object/apply:os.system ['touch {payload_file}']", "a: !!python/name:os.system", "a: !x 1"]
)
def test_yaml_with_tags(tmp_path, payload_file, text):
    path = tmp_path / "t.yaml"
    path.write_text(text.replace("{payload_file}", str(payload_file)))
    with pytest.raises(ConfigError):
        read_yaml(path)
    with pytest.raises(UserError):
        main(["validate", str(path)]) and (_ for _ in ()).throw(ConfigError("refused"))


def test_remote_code_without_the_flag(tmp_path, payload_file, modules):
    (tmp_path / "m").mkdir()
    auto = {**code_beside(tmp_path / "m", payload_file), "AutoModelForImageTextToText": "evil.A"}
    config = {"model_type": "evil", "auto_map": auto, "architectures": ["CLIPModel"]}
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    for kind in ("hf", "vlm", "hf-seg"):
        with pytest.raises(UserError):
            load_encoder(f"{kind}:{tmp_path}/m", offline=True)
