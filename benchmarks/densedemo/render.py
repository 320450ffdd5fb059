"""A scene as pictures with their truth, by Mitsuba 3 (`pip install mitsuba==3.9.1`), whose pixels' centres are hit
exactly for the truth, and four times in a pixel for the picture."""

import io

import mitsuba as mi
import numpy as np
from PIL import Image

from benchmarks.densedemo import scenes
from benchmarks.densedemo.shapes import CLASSES, normals_of
from benchmarks.densedemo.textures import texture

mi.set_variant("scalar_rgb")
mi.set_log_level(mi.LogLevel.Error)

SIDE = 224  # pixels of a picture and its mask
HALF = SIDE // 2  # of its depth and normals
SAMPLES = 4
QUALITY = 76
NEAREST = 1.0  # whose inverse is 65535
SKY = (0.42, 0.45, 0.5)
T = mi.ScalarTransform4f
ROOM = scenes.ROOM


def views(scene):
    """Yield for each camera {ending: contents} and its matrix (4, 4) from the camera to the scene."""
    fixed = surroundings(scene)
    for number, camera in enumerate(scene.cameras):
        objects = {f"thing{n + 1}": thing(each, number) for n, each in enumerate(scene.things)}
        to_world = T().look_at(origin=list(camera.origin), target=list(camera.target), up=[0, 0, 1])
        world = mi.load_dict({"type": "scene", **objects, **fixed})
        yield contents(world, to_world, number, len(objects), with_depth=not scene.moves), np.array(to_world.matrix)


def contents(world, to_world, seed, count, with_depth):
    """The files of a view. A picture's own pixels are the light; mask 0 is the surroundings, n the n-th thing."""
    sun = {"type": "direct", "emitter_samples": 1, "bsdf_samples": 0}
    lit = mi.load_dict({"type": "aov", "aovs": "a:albedo,n:sh_normal", "sun": sun})
    seen = np.array(
        mi.render(world, sensor=sensor(to_world, SIDE, SAMPLES, True), integrator=lit, spp=SAMPLES, seed=seed)
    )
    up = 0.5 + 0.5 * seen[..., 8:9]  # how much of the sky a surface faces
    picture = seen[..., :3] + seen[..., 3:6] * up * SKY  # of the sky no sample is drawn, which would be noise
    files = {"webp": lossy(np.clip(picture, 0, 1) ** (1 / 2.2))}
    fine = hits(world, to_world, SIDE)
    files["instances.png"] = palette_png(np.where(fine[..., 6] <= count, fine[..., 6], 0).astype(np.uint8))
    if with_depth:
        coarse = hits(world, to_world, HALF)
        origin, axes = np.array(to_world.matrix)[:3, 3], np.array(to_world.matrix)[:3, :3]
        depth = (coarse[..., :3] - origin) @ axes[:, 2]
        files["depth.png"] = png(np.round(65535 * NEAREST / depth).astype(np.uint16))
        facing = coarse[..., 3:6] @ axes  # in the camera's axes: x left, y up, z ahead
        facing = np.where((facing * rays()).sum(axis=2, keepdims=True) > 0, -facing, facing)  # towards the camera
        files["normals.webp"] = lossless(facing)
    return files


def hits(world, to_world, side):
    """What the ray through each pixel's centre meets: (side, side, 7) of position, normal and number of the shape."""
    truth = mi.load_dict({"type": "aov", "aovs": "p:position,n:sh_normal,s:shape_index"})
    found = np.array(mi.render(world, sensor=sensor(to_world, side, 1, False), integrator=truth, spp=1))
    return np.nan_to_num(found)


def rays():
    """Directions (HALF, HALF, 3) of the pixels in the camera's axes."""
    half = np.tan(np.deg2rad(scenes.FOV) / 2)
    at = half * (1 - 2 * (np.arange(HALF) + 0.5) / HALF)
    return np.stack([*np.meshgrid(at, at), np.ones((HALF, HALF))], axis=2)


def sensor(to_world, side, samples, jitter):
    film = {"type": "hdrfilm", "width": side, "height": side, "rfilter": {"type": "box"}, "component_format": "float32"}
    sampler = {"type": "stratified", "sample_count": samples, "jitter": jitter}
    return mi.load_dict(
        {"type": "perspective", "fov": scenes.FOV, "to_world": to_world, "film": film, "sampler": sampler}
    )


def surroundings(scene):
    ground, wall = (painted(["ground", n], False) for n in (scene.ground, scene.wall + 100))
    walls = {
        f"wall{n}": {
            "type": "rectangle",
            "to_world": T().rotate([0, 0, 1], 90 * n).translate([0, ROOM, ROOM / 2]).rotate([1, 0, 0], 90)
            .scale([ROOM, ROOM, 1]),
            "bsdf": {"type": "twosided", "bsdf": scaled(wall, 6)},
        }
        for n in range(4)
    }  # fmt: skip
    return {
        "zground": {"type": "rectangle", "to_world": T().scale(ROOM), "bsdf": scaled(ground, 9)},
        **walls,
        "sun": {
            "type": "directional",
            "direction": list(scene.sun),
            "irradiance": {"type": "rgb", "value": [1.9, 1.85, 1.7]},
        },
    }


def painted(key, lively):
    seeds = {"ground": 2, "thing": 3}
    drawn = texture(np.random.default_rng([scenes.SEED, seeds[key[0]], key[1]]), lively)
    return {"type": "bitmap", "bitmap": mi.Bitmap(drawn), "wrap_mode": "repeat"}


def scaled(image, times):
    return {"type": "diffuse", "reflectance": {**image, "to_uv": T().scale([times, times, 1])}}


def thing(each, frame):
    """A thing where it is in a frame."""
    rng = np.random.default_rng([scenes.SEED, 4, each.label, each.shape])
    triangles = CLASSES[each.label - 1](rng)
    paint = {"type": "twosided", "bsdf": scaled(painted(["thing", each.texture], True), 1.2)}
    return mesh(triangles, pose(each, frame), paint)


def pose(each, frame):
    x, y, turn = (np.array([*each.place, each.turn]) + frame * np.array(each.velocity)).tolist()
    return T().translate([x, y, 0]).rotate([0, 0, 1], float(np.rad2deg(turn))).scale(each.size)


def mesh(triangles, to_world, paint):
    """Triangles with a texture that is laid on each from the axis that it faces."""
    normals = normals_of(triangles)
    faces = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    axis = np.abs(faces).argmax(axis=1)
    sides = np.array([[1, 2], [0, 2], [0, 1]])[axis]
    uv = np.take_along_axis(triangles, sides[:, None, :].repeat(3, axis=1), axis=2)
    matrix = np.array(to_world.matrix)
    points = triangles @ matrix[:3, :3].T + matrix[:3, 3]
    turned = normals @ matrix[:3, :3].T
    turned /= np.linalg.norm(turned, axis=2, keepdims=True)
    props = mi.Properties()
    props["bsdf"] = mi.load_dict(paint)
    made = mi.Mesh(
        "thing", 3 * len(triangles), len(triangles), has_vertex_normals=True, has_vertex_texcoords=True, props=props
    )
    params = mi.traverse(made)
    params["vertex_positions"] = points.ravel().astype(np.float32)
    params["vertex_normals"] = turned.ravel().astype(np.float32)
    params["vertex_texcoords"] = uv.ravel().astype(np.float32)
    params["faces"] = np.arange(3 * len(triangles), dtype=np.uint32)
    params.update()
    return made


def lossy(picture):
    return saved(Image.fromarray((255 * picture).round().astype(np.uint8)), "WEBP", quality=QUALITY, method=6)


def lossless(facing):
    levels = np.round(127 * facing + 128).clip(0, 255).astype(np.uint8)
    return saved(Image.fromarray(levels), "WEBP", lossless=True, quality=100, method=6, exact=True)


def palette_png(labels):
    image = Image.fromarray(labels, mode="P")
    image.putpalette([(37 * n * (c + 2) + 80 * c) % 256 if n else 0 for n in range(16) for c in range(3)])
    return saved(image, "PNG", optimize=True, bits=4)


def png(levels):
    return saved(Image.fromarray(levels), "PNG", optimize=True)


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
