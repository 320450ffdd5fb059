"""Image towers through `hf:`: pooling, patches, preprocessing and what a folder may lack, against transformers.

benchmarks/encoder_matrix does this for every architecture; here is one of each way to be read.
"""

import json

import pytest
import torch
import transformers as T
from PIL import Image

from mlcd_eval.encoders.adapters.hf.calls import naflex, pack
from mlcd_eval.encoders.adapters.hf.load import encoder_of
from mlcd_eval.encoders.registry import check_spec, load_encoder, parse
from mlcd_eval.errors import ConfigError, IncompatibleError

SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
VIT = {**SHAPE, "image_size": 32, "patch_size": 8}
DINO = {key: value for key, value in VIT.items() if key != "intermediate_size"}
LLAMA = {**SHAPE, "vocab_size": 64, "num_key_value_heads": 2}
STAGES = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32]}


def save(folder, model, processor=None):
    """The model with its weights moved at random, since zeros would hide faults."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    model.eval().save_pretrained(folder)
    (processor or T.ViTImageProcessorPil(size={"height": 32, "width": 32})).save_pretrained(folder)
    return model


def encode(spec, pixels, **options):
    encoder = load_encoder(spec, offline=True, **options)
    with torch.inference_mode():
        return encoder, encoder.encode_images(pixels, list(encoder.info.layers))


def masked_autoencoder(model, pixels):
    noise = torch.arange(16.0).expand(len(pixels), -1)
    model.config.mask_ratio = 0.0
    return model(pixel_values=pixels, noise=noise).last_hidden_state


def without_prefix(count, pool):
    def layers(model, pixels):
        output = model(pixel_values=pixels)
        return pool(output), output.last_hidden_state[:, count:].unflatten(1, (4, 4))

    return layers


def cls(output):
    return output.last_hidden_state[:, 0]


def pooler(output):
    return output.pooler_output


def mean(output):
    return output.last_hidden_state.mean(1)


TOWERS = {
    "dinov3": (lambda: T.DINOv3ViTModel(T.DINOv3ViTConfig(**VIT)), without_prefix(1, pooler), "pooler"),
    "vit": (lambda: T.ViTModel(T.ViTConfig(**VIT)), without_prefix(1, cls), "cls"),
    "beit": (lambda: T.BeitModel(T.BeitConfig(**VIT)), without_prefix(1, pooler), "pooler"),
    "deit": (lambda: T.DeiTModel(T.DeiTConfig(**VIT)), without_prefix(2, cls), "cls"),
    "ijepa": (lambda: T.IJepaModel(T.IJepaConfig(**VIT)), without_prefix(0, mean), "mean"),
    "aimv2": (lambda: T.Aimv2VisionModel(T.Aimv2VisionConfig(**VIT, use_head=False)), without_prefix(0, mean), "mean"),
    "mae": (
        lambda: T.ViTMAEModel(T.ViTMAEConfig(**VIT)),
        lambda model, pixels: (
            masked_autoencoder(model, pixels)[:, 0],
            masked_autoencoder(model, pixels)[:, 1:].unflatten(1, (4, 4)),
        ),
        "cls",
    ),
    "generic": (lambda: T.PixioModel(T.PixioConfig(**DINO)), without_prefix(8, pooler), "pooler"),
}


@pytest.mark.parametrize("name", TOWERS)
def test_pooling_and_patches(tmp_path, name):
    build, layers, pooling = TOWERS[name]
    model = save(tmp_path, build())
    pixels = torch.randn(2, 3, 32, 32)
    encoder, ours = encode(f"hf:{tmp_path}", pixels)
    with torch.inference_mode():
        penultimate, patches = layers(model, pixels)
    torch.testing.assert_close(ours["penultimate"], penultimate, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours["patches"], patches, rtol=1e-5, atol=1e-5)
    assert encoder.info.extra["pooling"].startswith(f"{pooling}: ")


def test_feature_maps_are_grids_and_pool_as_the_network_does(tmp_path):
    processor = T.ConvNextImageProcessorPil(size={"shortest_edge": 64})
    model = save(tmp_path, T.ConvNextModel(T.ConvNextConfig(**STAGES)), processor)
    pixels = torch.randn(2, 3, 64, 96)
    _, ours = encode(f"hf:{tmp_path}", pixels)
    with torch.inference_mode():
        output = model(pixel_values=pixels)
    torch.testing.assert_close(ours["penultimate"], output.pooler_output)
    torch.testing.assert_close(ours["patches"], output.last_hidden_state.permute(0, 2, 3, 1))


def test_the_pooling_can_be_chosen_and_is_part_of_name_and_identity(tmp_path):
    model = save(tmp_path, T.ViTModel(T.ViTConfig(**VIT)))
    pixels = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        output = model(pixel_values=pixels)
    expected = {"cls": cls(output), "pooler": pooler(output), "mean": output.last_hidden_state[:, 1:].mean(1)}
    infos = []
    for pooling, feature in expected.items():
        encoder, ours = encode(f"hf:{tmp_path}?pool={pooling}", pixels)
        torch.testing.assert_close(ours["penultimate"], feature)
        infos.append(encoder.info)
    assert len({info.fingerprint for info in infos}) == 3
    assert [info.name for info in infos] == [f"{tmp_path.name}_pool_{pooling}" for pooling in expected]


def test_a_pooler_that_the_checkpoint_lacks_is_not_made_up(tmp_path):
    model = save(tmp_path, T.BeitForMaskedImageModeling(T.BeitConfig(**VIT, use_mask_token=True)))
    pixels = torch.randn(2, 3, 32, 32)
    encoder, ours = encode(f"hf:{tmp_path}", pixels)
    with torch.inference_mode():
        tokens = model.beit(pixel_values=pixels).last_hidden_state
    assert encoder.info.extra["pooling"].startswith("mean: ")
    torch.testing.assert_close(ours["penultimate"], tokens[:, 1:].mean(1))
    with pytest.raises(IncompatibleError, match=r"got pool=pooler, expected one of cls, mean$"):
        load_encoder(f"hf:{tmp_path}?pool=pooler")


def test_a_tower_without_a_head_has_patches_only(tmp_path):
    config = T.SiglipVisionConfig(**VIT, vision_use_head=False)
    model = save(tmp_path, T.SiglipVisionModel(config))
    pixels = torch.randn(2, 3, 32, 32)
    encoder, ours = encode(f"hf:{tmp_path}", pixels)
    assert list(ours) == ["patches"] and encoder.info.extra["pooling"].startswith("none: it has no pooled feature")
    _, pooled = encode(f"hf:{tmp_path}?pool=mean", pixels)
    with torch.inference_mode():
        torch.testing.assert_close(pooled["penultimate"], mean(model(pixel_values=pixels)))


def test_naflex_keeps_the_aspect_of_every_image_of_a_batch(tmp_path):
    config = T.Siglip2VisionConfig(**SHAPE, patch_size=8, num_patches=16)
    processor = T.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=24)
    model = save(tmp_path, T.Siglip2VisionModel(config), processor)
    images = [Image.effect_noise(size, 80).convert("RGB") for size in ((60, 30), (30, 90))]
    encoder = load_encoder(f"hf:{tmp_path}", offline=True)
    pixels = torch.stack([encoder.preprocess(image) for image in images])
    assert pixels.shape == (2, 3, 25, 64)
    inputs = processor(images=images, return_tensors="pt")
    wide, tall = inputs["spatial_shapes"].tolist()
    assert wide[0] < wide[1] and tall[0] > tall[1]
    with torch.inference_mode():
        ours = encoder.encode_images(pixels, ["penultimate"])["penultimate"]
        torch.testing.assert_close(ours, model(**inputs).pooler_output, rtol=1e-5, atol=1e-5)
        average = load_encoder(f"hf:{tmp_path}?pool=mean").encode_images(pixels, ["penultimate"])["penultimate"]
        hidden = model(**inputs).last_hidden_state
    counts = inputs["spatial_shapes"].prod(1)
    torch.testing.assert_close(average[1], hidden[1, : counts[1]].mean(0), rtol=1e-5, atol=1e-5)


def test_packing_loses_nothing():
    patches, shape = torch.randn(5, 12), torch.tensor([2, 2])
    seen = {}

    class Tower:
        def __call__(self, **inputs):
            seen.update(inputs)
            return T.modeling_outputs.BaseModelOutputWithPooling(last_hidden_state=torch.zeros(1, 5, 1))

    naflex(Tower(), pack(patches, shape)[None])
    assert torch.equal(seen["pixel_values"][0], patches) and torch.equal(seen["spatial_shapes"][0], shape)
    assert seen["pixel_attention_mask"].tolist() == [[1, 1, 1, 1, 0]]


def llava():
    vision, text = T.CLIPVisionConfig(**VIT), T.LlamaConfig(**LLAMA)
    return T.LlavaForConditionalGeneration(T.LlavaConfig(vision_config=vision, text_config=text, image_token_index=5))


def test_the_image_tower_of_a_larger_model(tmp_path):
    crop = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    model = save(tmp_path, llava(), T.CLIPImageProcessorPil(**crop))
    pixels = torch.randn(2, 3, 32, 32)
    encoder, ours = encode(f"hf:{tmp_path}?tower=vision", pixels)
    with torch.inference_mode():
        torch.testing.assert_close(ours["penultimate"], model.model.vision_tower(pixel_values=pixels).pooler_output)
    assert encoder.info.num_params == sum(each.numel() for each in model.model.vision_tower.parameters())
    with pytest.raises(IncompatibleError, match=r"got architecture LlavaFor.*image tower alone .* \?tower=vision$"):
        check_spec(f"hf:{tmp_path}")


def test_a_folder_without_a_preprocessor_takes_options(tmp_path):
    save(tmp_path, T.ViTModel(T.ViTConfig(**VIT)))
    (tmp_path / "preprocessor_config.json").unlink()
    message = r"no preprocessor_config\.json: got no mean, std, expected the file, or \?image_size=N&mean=R,G,B&std"
    with pytest.raises(ConfigError, match=message):
        check_spec(f"hf:{tmp_path}?image_size=32")
    encoder = load_encoder(f"hf:{tmp_path}?image_size=32&mean=0.5,0.25,0&std=0.5,0.5,1")
    pixels = encoder.preprocess(Image.new("RGB", (64, 48), (255, 0, 51)))
    torch.testing.assert_close(pixels[:, 5, 5], torch.tensor([1.0, -0.5, 0.2]))
    assert pixels.shape == (3, 32, 32)


def test_another_image_size_interpolates_positions(tmp_path):
    model = save(tmp_path, T.ViTModel(T.ViTConfig(**VIT)))
    encoder = load_encoder(f"hf:{tmp_path}?image_size=48")
    assert encoder.info.image_size == (48, 48) and encoder.info.name == f"{tmp_path.name}_48px"
    pixels = torch.randn(2, 3, 48, 48)
    with torch.inference_mode():
        ours = encoder.encode_images(pixels, ["penultimate", "patches"])
        theirs = model(pixel_values=pixels, interpolate_pos_encoding=True).last_hidden_state
    torch.testing.assert_close(ours["penultimate"], theirs[:, 0])
    assert ours["patches"].shape == (2, 6, 6, 32)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: T.ViTForImageClassification(T.ViTConfig(**VIT)), "ViTModel"),
        (lambda: T.ViTMAEModel(T.ViTMAEConfig(**VIT)), "ViTMAEModel"),
    ],
)
def test_a_model_object_is_read_as_its_folder_is(tmp_path, build, name):
    processor = T.ViTImageProcessorPil(size={"height": 32, "width": 32})
    model = save(tmp_path, build(), processor)
    pixels = torch.randn(2, 3, 32, 32)
    of_object = encoder_of(parse(f"hf:{tmp_path}"), model, processor)
    _, of_folder = encode(f"hf:{tmp_path}", pixels)
    ours = of_object.encode_images(pixels, ["penultimate", "patches"])
    assert of_object.info.extra["class"] == name
    for layer, features in of_folder.items():
        torch.testing.assert_close(ours[layer], features)


def test_a_side_that_cannot_be_set_is_an_error(tmp_path):
    save(tmp_path, T.ViTModel(T.ViTConfig(**VIT)), T.SamImageProcessorPil(size={"longest_edge": 32}))
    with pytest.raises(ConfigError, match=r"got image_size=48, expected none, since SamImageProcessor\w* has no side"):
        load_encoder(f"hf:{tmp_path}?image_size=48")


def test_a_config_without_architectures_is_read_by_its_model_type(tmp_path):
    save(tmp_path, T.Dinov2Model(T.Dinov2Config(**DINO)))
    config = json.loads((tmp_path / "config.json").read_text())
    del config["architectures"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load_encoder(f"hf:{tmp_path}").info.extra["class"] == "Dinov2Model"
