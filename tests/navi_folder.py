"""NAVI of one object, a ball of known place, as three cameras see it."""

import json

import numpy as np
from PIL import Image

WIDTH, HEIGHT, FOCAL, RADIUS = 96, 72, 200.0, 40.0
CAMERAS = {  # quaternion w, x, y, z, and translation in millimetres, from the object to the camera
    "000": ((1.0, 0.0, 0.0, 0.0), (5.0, -4.0, 300.0)),
    "001": ((0.98, 0.02, 0.19, 0.03), (0.0, 10.0, 320.0)),
    "002": ((0.9, -0.2, -0.3, 0.1), (-8.0, 0.0, 280.0)),
}
TURNED = "002"
LISTS = "custom_splits/pairwise_pixel_correspondences"


def rotation(q):
    """By the quaternion's own product, q v q*."""
    w, x, y, z = np.array(q) / np.linalg.norm(q)
    return np.array(
        [
            [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
        ]
    )


def hit(name, x, y):
    """Where on the ball, in its own axes, the ray through a place of an image meets it, and its depth; else None."""
    q, t = CAMERAS[name]
    turn, t = rotation(q), np.array(t)
    ray = np.array([(x + 0.5 - WIDTH / 2) / FOCAL, (y + 0.5 - HEIGHT / 2) / FOCAL, 1.0])
    half, length = ray @ t, ray @ ray
    under = half**2 - length * (t @ t - RADIUS**2)
    if under < 0:
        return None
    depth = (half - np.sqrt(under)) / length
    return turn.T @ (ray * depth - t), depth


def shown(name, point):
    """Where an image shows a point of the ball."""
    q, t = CAMERAS[name]
    x, y, z = rotation(q) @ point + np.array(t)
    return np.array([FOCAL * x / z + WIDTH / 2 - 0.5, FOCAL * y / z + HEIGHT / 2 - 0.5])


def entry(name):
    q, t = CAMERAS[name]
    camera = {"q": q, "t": t, "focal_length": FOCAL, "camera_model": "pixel_5"}
    about = {"object_id": "ball", "scene_name": "wild_set", "split": "train", "occluded": False}
    return {"filename": f"{name}.jpg", "image_size": [HEIGHT, WIDTH], "camera": camera, **about}


def write(root, spoil=lambda scene, entries: None, lines=None):
    """The folder; spoil: changes the files of its scene and the entries of its annotations."""
    scene = root / "navi_v1" / "ball" / "wild_set"
    for folder in ("images", "depth"):
        (scene / folder).mkdir(parents=True)
    entries = [entry(name) for name in CAMERAS]
    for name in CAMERAS:
        depth = np.zeros((HEIGHT, WIDTH), np.uint16)
        for row, column in np.ndindex(*depth.shape):
            found = hit(name, column, row)
            depth[row, column] = 0 if found is None else round(65535 * 10 / found[1])
        Image.fromarray(depth).save(scene / "depth" / f"{name}.png")
        picture = Image.fromarray(np.where(depth > 0, 255, 0).astype(np.uint8)).convert("RGB")
        exif = picture.getexif()
        if name == TURNED:
            picture, exif[0x0112] = picture.transpose(Image.Transpose.ROTATE_90), 6
        picture.save(scene / "images" / f"{name}.jpg", exif=exif, quality=95)
    spoil(scene, entries)
    (scene / "annotations.json").write_text(json.dumps(entries))
    path = root / "navi_v1" / LISTS / "pairs-wild_set.txt"
    path.parent.mkdir(parents=True)
    images = [f"ball/wild_set/images/{name}.jpg" for name in CAMERAS]
    pairs = [f"{images[0]} {images[1]} 22.6", f"{images[2]} {images[0]} 45.3"]
    path.write_text("\n".join(pairs if lines is None else lines) + "\n")
    return root / "navi_v1"
