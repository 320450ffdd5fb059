import open_clip
import pytest
import torch
from open_clip_models import TEXT, VIT

from mlcd_eval.encoders import checks


@pytest.fixture
def tiny(monkeypatch):
    """An architecture of open_clip, in the size of VIT, with published weights as the test says."""

    def add(**tags):
        config = {"embed_dim": 24, "vision_cfg": VIT, "text_cfg": TEXT}
        for name, more in (("tiny", {}), ("tiny-quickgelu", {"quick_gelu": True})):
            monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, {**config, **more})
        published = {tag: open_clip.pretrained._pcfg(hf_hub="x", **more) for tag, more in tags.items()}
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", published)
        monkeypatch.setattr(checks, "open_clip_architectures", lambda: ["tiny", "tiny-quickgelu"])
        monkeypatch.setattr(checks, "open_clip_tags", lambda: {"tiny": list(tags)})
        torch.manual_seed(0)
        return open_clip.create_model("tiny")

    return add
