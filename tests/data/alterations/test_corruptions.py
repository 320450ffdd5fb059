"""ImageNet-C's corruptions against slow computations of their definitions, from the same random numbers."""

import colorsys
import io
import math

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from mlcd_eval.data.alterations import blur, digital, noise, weather
from mlcd_eval.data.alterations.alter import FUNCTIONS
from mlcd_eval.data.alterations.names import CORRUPTIONS, SEVERITIES

SIZE = 32


def rng(seed=0):
    return np.random.default_rng(seed)


def picture():
    """Smooth colours with a black and a white spot."""
    smooth = ndimage.gaussian_filter(rng().random((SIZE, SIZE, 3)), (3, 3, 0))
    pixels = (255 * (smooth - smooth.min()) / (smooth.max() - smooth.min())).astype(np.uint8)
    pixels[4:7, 4:7], pixels[20:24, 9:12] = 0, 255
    return pixels


def mirrored(place, size):
    """The place in an image that a place beyond its edge shows, where the edge itself is not repeated."""
    place = abs(place)
    return place if place < size else 2 * (size - 1) - place


def slow_disk(radius, softness):
    reach, taps = (8, 1) if radius <= 8 else (radius, 2)
    line = range(-reach, reach + 1)
    disk = np.array([[float(x * x + y * y <= radius * radius) for x in line] for y in line])
    disk /= disk.sum()
    gauss = [math.exp(-(t * t) / (2 * softness * softness)) for t in range(-taps, taps + 1)]
    smooth = np.zeros_like(disk)
    for y in range(len(disk)):
        for x in range(len(disk)):
            for dy in range(-taps, taps + 1):
                for dx in range(-taps, taps + 1):
                    weight = gauss[dy + taps] * gauss[dx + taps] / sum(gauss) ** 2
                    smooth[y, x] += weight * disk[mirrored(y + dy, len(disk)), mirrored(x + dx, len(disk))]
    return smooth


def slow_line(image, radius, sigma, angle):
    """ImageMagick's motion blur: pixel (x, y) is a weighted mean of those at its offsets, rounded."""
    height, width = image.shape[:2]
    weights = [math.exp(-i * i / (2 * sigma * sigma)) for i in range(2 * radius + 1)]
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    made = np.zeros(image.shape)
    for y in range(height):
        for x in range(width):
            for i, weight in enumerate(weights):
                row = min(max(y + math.ceil(i * sine - 0.5), 0), height - 1)
                column = min(max(x + math.ceil(i * cosine - 0.5), 0), width - 1)
                made[y, x] += weight / sum(weights) * image[row, column]
    return np.floor(made + 0.5)


def slow_zoom(image, factor):
    size = len(image)
    shown = math.ceil(size / factor)
    first = (size - shown) // 2
    part = ndimage.zoom(image[first : first + shown, first : first + shown], (factor, factor, 1), order=1)
    trim = (len(part) - size) // 2
    return part[trim : trim + size, trim : trim + size]


def slow_gaussian_noise(x, severity, r):
    return np.clip(x / 255 + r.normal(0, [0.08, 0.12, 0.18, 0.26, 0.38][severity - 1], x.shape), 0, 1) * 255


def slow_shot_noise(x, severity, r):
    lam = [60, 25, 12, 5, 3][severity - 1]
    return np.minimum(r.poisson(x / 255 * lam) / lam, 1) * 255


def slow_impulse_noise(x, severity, r):
    hit, salt, made = r.random(x.shape), r.random(x.shape), x.astype(float)
    for place in np.ndindex(*x.shape):
        if hit[place] <= [0.03, 0.06, 0.09, 0.17, 0.27][severity - 1]:
            made[place] = 255 if salt[place] <= 0.5 else 0
    return made


def slow_defocus_blur(x, severity, r):
    kernel = slow_disk(*[(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)][severity - 1])
    return np.clip(ndimage.correlate(x / 255, kernel[:, :, None], mode="mirror"), 0, 1) * 255


def slow_glass_blur(x, severity, r):
    sigma, most, passes = [(0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)][severity - 1]
    smooth = np.uint8(ndimage.gaussian_filter(x / 255, (sigma, sigma, 0), mode="nearest") * 255)
    for _ in range(passes):
        steps = iter(r.integers(-most, most, size=((SIZE - 2 * most) ** 2, 2)))
        for row in range(SIZE - most, most, -1):
            for column in range(SIZE - most, most, -1):
                dx, dy = next(steps)
                smooth[row, column] = smooth[row + dy, column + dx]
    return np.clip(ndimage.gaussian_filter(smooth / 255, (sigma, sigma, 0), mode="nearest"), 0, 1) * 255


def slow_motion_blur(x, severity, r):
    radius, sigma = [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)][severity - 1]
    return slow_line(x, radius, sigma, r.uniform(-45, 45))


def slow_zoom_blur(x, severity, r):
    stop, step = [(1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)][severity - 1]
    zooms = [slow_zoom(x / 255, factor) for factor in np.arange(1, stop, step)]
    return np.mean([x / 255, *zooms], axis=0) * 255


def slow_snow(x, severity, r):
    mean, std, zoom, least, radius, sigma, kept = [
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ][severity - 1]
    layer = slow_zoom(r.normal(mean, std, (SIZE, SIZE))[:, :, None], zoom)
    layer = np.where(layer < least, 0, layer)
    layer = slow_line((np.clip(layer, 0, 1) * 255).astype(np.uint8), radius, sigma, r.uniform(-135, -45)) / 255
    made = np.zeros(x.shape)
    for row, column in np.ndindex(SIZE, SIZE):
        red, green, blue = x[row, column] / 255
        grey = 0.299 * red + 0.587 * green + 0.114 * blue
        flakes = layer[row, column, 0] + layer[SIZE - 1 - row, SIZE - 1 - column, 0]
        for channel, value in enumerate((red, green, blue)):
            made[row, column, channel] = kept * value + (1 - kept) * max(value, grey * 1.5 + 0.5) + flakes
    return np.clip(made, 0, 1) * 255


def slow_frost(x, severity, r):
    kept, ice = [(1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)][severity - 1]
    plane = weather.frost_plane(int(r.integers(5)))
    top, left = r.integers(512 - SIZE), r.integers(512 - SIZE)
    return np.clip(kept * x + ice * plane[top : top + SIZE, left : left + SIZE], 0, 255)


def slow_cloud(size, decay, r):
    """Diamond-square: squares' middles, then the middles of their upper and left sides, on a torus."""
    heights, step, scale = np.zeros((size, size)), size, 100.0
    while step >= 2:
        half, count = step // 2, size // step
        places = [(0, -half), (0, half), (-half, 0), (half, 0)]
        for row0, column0, near in (
            (half, half, [(a, b) for a in (-half, half) for b in (-half, half)]),
            (0, half, places),
            (half, 0, places),
        ):
            drawn = scale * r.uniform(-scale, scale, (count, count))
            for i, j in np.ndindex(count, count):
                row, column = row0 + i * step, column0 + j * step
                around = [heights[(row + a) % size, (column + b) % size] for a, b in near]
                heights[row, column] = np.mean(around) + drawn[i, j]
        step, scale = half, scale / decay
    return (heights - heights.min()) / (heights.max() - heights.min())


def slow_fog(x, severity, r):
    thick, decay = [(1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)][severity - 1]
    cloud = slow_cloud(256, decay, r)[:SIZE, :SIZE, None]
    most = x.max() / 255
    return np.clip((x / 255 + thick * cloud) * most / (most + thick), 0, 1) * 255


def slow_brightness(x, severity, r):
    made = np.zeros(x.shape)
    for place in np.ndindex(SIZE, SIZE):
        hue, saturation, value = colorsys.rgb_to_hsv(*(x[place] / 255))
        made[place] = colorsys.hsv_to_rgb(hue, saturation, min(value + severity / 10, 1))
    return made * 255


def slow_contrast(x, severity, r):
    share = [0.4, 0.3, 0.2, 0.1, 0.05][severity - 1]
    return np.stack([(c - c.mean()) * share + c.mean() for c in np.moveaxis(x.astype(float), 2, 0)], axis=2)


def slow_elastic_transform(x, severity, r):
    c = [(488, 170.8, 24.4), (488, 19.52, 48.8), (12.2, 2.44, 4.88), (17.08, 2.44, 4.88), (29.28, 2.44, 4.88)]
    strength, sigma, reach = c[severity - 1]
    middle, side = SIZE // 2, SIZE // 3
    before = np.array([(middle + side,) * 2, (middle + side, middle - side), (middle - side,) * 2], float)
    after = before + r.uniform(-reach, reach, (3, 2))
    forwards = np.linalg.solve(np.c_[before, np.ones(3)], after).T  # (2, 3): (x, y, 1) -> (x, y)
    back = np.linalg.inv(np.vstack([forwards, [0, 0, 1]]))
    dx, dy = (
        strength * ndimage.gaussian_filter(r.uniform(-1, 1, (SIZE, SIZE)), sigma, mode="reflect", truncate=3)
        for _ in range(2)
    )
    made = np.zeros(x.shape)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    for channel in range(3):
        at = back @ np.stack([columns.ravel(), rows.ravel(), np.ones(SIZE * SIZE)])
        turned = ndimage.map_coordinates(x[..., channel] / 255, [at[1], at[0]], order=1, mode="mirror")
        turned = turned.reshape(SIZE, SIZE)
        made[..., channel] = ndimage.map_coordinates(turned, [rows + dy, columns + dx], order=1, mode="reflect")
    return made * 255


def slow_pixelate(x, severity, r):
    share = [0.6, 0.5, 0.4, 0.3, 0.25][severity - 1]
    small = Image.fromarray(x).resize((int(SIZE * share),) * 2, Image.Resampling.BOX)
    if severity == 5:  # a quarter: each pixel is the mean of 4 x 4
        means = np.round(x.reshape(8, 4, 8, 4, 3).mean(axis=(1, 3)))
        assert np.abs(np.asarray(small) - means).max() <= 1
    return np.asarray(small.resize((SIZE, SIZE), Image.Resampling.BOX)).astype(float)


def slow_jpeg_compression(x, severity, r):
    file = io.BytesIO()
    Image.fromarray(x).save(file, "JPEG", quality=[25, 18, 15, 10, 7][severity - 1])
    return np.asarray(Image.open(file)).astype(float)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_its_definition(name):
    x = picture()
    for severity in SEVERITIES:
        made = FUNCTIONS[name](x, severity, rng(severity))
        expected = globals()[f"slow_{name}"](x, severity, rng(severity))
        assert made.shape == x.shape and made.dtype == np.float64
        assert np.abs(made - expected).max() < 1e-6, severity
        assert np.abs(made - x).mean() > 0.3, "it changes the image"


def test_every_corruption_has_its_function_in_the_papers_order():
    assert tuple(FUNCTIONS) == CORRUPTIONS
    of_modules = {f for module in (noise, blur, weather, digital) for f in vars(module) if f in CORRUPTIONS}
    assert of_modules == set(CORRUPTIONS)


def test_a_higher_severity_changes_more():
    x = picture()
    for name in ("gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "zoom_blur", "fog", "contrast"):
        changes = [np.abs(FUNCTIONS[name](x, severity, rng(1)) - x).mean() for severity in SEVERITIES]
        assert changes == sorted(changes), name


def test_textures_of_frost_differ_and_are_pale_blue():
    planes = [weather.frost_plane(number) for number in range(2)]
    assert np.abs(planes[0] - planes[1]).mean() > 5
    for plane in planes:
        assert plane.shape == (512, 512, 3) and plane.min() >= 0 and plane.max() <= 255
        red, green, blue = plane.mean(axis=(0, 1))
        assert 90 < red < green < blue < 225 and 12 < plane[..., 1].std() < 45
