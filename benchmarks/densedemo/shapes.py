"""Objects of 20 classes as triangles, built from primitives. An object stands on the plane z = 0, is at most 1 high and
0.5 from the axis, and its proportions are drawn: two objects of a class are alike, not equal.

A mesh is an array (T, 3, 3) of float: the corners of T triangles.
"""

import numpy as np

SMOOTH = np.cos(np.deg2rad(40))  # faces at a smaller angle share their normals


def moved(points, *by):
    """Points (..., N), shifted."""
    return points + np.array(by)


def lathe(profile, segments=28):
    """What a profile [(radius, z)] makes when it is turned about the axis."""
    profile = np.asarray(profile, dtype=float)
    angles = 2 * np.pi * np.arange(segments + 1) / segments
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rings = np.concatenate(
        [
            profile[:, None, :1] * circle[None],
            np.broadcast_to(profile[:, None, 1:], (len(profile), segments + 1, 1)),
        ],
        axis=2,
    )
    return grid(rings)


def grid(points):
    """A sheet through points (A, B, 3), without triangles of no area."""
    a, b, c, d = points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]
    triangles = np.concatenate([np.stack(corners, axis=2).reshape(-1, 3, 3) for corners in ((a, b, c), (a, c, d))])
    area = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1)
    return triangles[area > 1e-9]


def box(low, high):
    """A box between two corners."""
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), axis=-1)
    faces = [corners.take(side, axis=axis) for axis in range(3) for side in (0, 1)]
    return np.concatenate([grid(face) for face in faces])


def tube(path, radius, segments=12):
    """A round tube along a path (N, 3), closed at its ends."""
    path = np.asarray(path, dtype=float)
    tangents = np.gradient(path, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    normal = np.cross(tangents[0], [0.31, 0.87, 0.38])
    rings = []
    angles = 2 * np.pi * np.arange(segments + 1) / segments
    for point, tangent in zip(path, tangents, strict=True):
        normal = normal - tangent * (normal @ tangent)  # carried along, so that the tube is not twisted
        normal /= np.linalg.norm(normal)
        other = np.cross(tangent, normal)
        rings.append(point + radius * (np.cos(angles)[:, None] * normal + np.sin(angles)[:, None] * other))
    ends = [np.broadcast_to(path[at], rings[at].shape) for at in (0, -1)]
    return grid(np.stack([ends[0], *rings, ends[1]]))


def slab(outline, depth):
    """A flat body whose outline (N, 2) of x and z all is seen from its centre, `depth` thick along y."""
    closed = np.concatenate([outline, outline[:1]])
    front = np.stack([closed[:, 0], np.full(len(closed), -depth / 2), closed[:, 1]], axis=1)
    back = moved(front, 0, depth, 0)
    centre = outline.mean(axis=0)
    middles = [np.broadcast_to([centre[0], y, centre[1]], front.shape) for y in (-depth / 2, depth / 2)]
    return grid(np.stack([middles[0], front, back, middles[1]]))


def bow(inner, outer, depth, base):
    """Half a ring in the plane of x and z, above z = `base`, `depth` thick along y."""
    angles = np.linspace(0, np.pi, 20)
    rim = [
        np.stack([r * np.cos(angles), np.full(20, y), base + r * np.sin(angles)], axis=1)
        for r, y in ((inner, -depth / 2), (outer, -depth / 2), (outer, depth / 2), (inner, depth / 2))
    ]
    return grid(np.stack([*rim, rim[0]]))


def helix(radius, height, turns, start=0.0):
    """Points of a helix."""
    share = np.linspace(0, 1, int(24 * turns))
    angle = 2 * np.pi * turns * share
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), start + height * share], axis=1)


def arc(radius, low, high, count=16):
    """Sines and cosines of a circle from one angle to another, in degrees: (N, 2)."""
    angle = np.deg2rad(np.linspace(low, high, count))
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def ball(rng):
    return lathe(arc(0.42, -90, 90) * [1, rng.uniform(0.85, 1.15)] + [0, 0.46])


def cube(rng):
    half = rng.uniform(0.32, 0.4)
    return box([-half, -half, 0], [half, half, 2 * half * rng.uniform(0.9, 1.1)])


def cone(rng):
    return lathe([(0, 0), (rng.uniform(0.32, 0.45), 0), (0, rng.uniform(0.75, 1))])


def cylinder(rng):
    radius, height = rng.uniform(0.24, 0.38), rng.uniform(0.6, 1)
    return lathe([(0, 0), (radius, 0), (radius, height), (0, height)])


def ring(rng):
    small = rng.uniform(0.08, 0.14)
    large = 0.47 - small
    turned = lathe(moved(arc(small, 0, 360, 17), large, 0))
    return turned[:, :, [0, 2, 1]] + [0, 0, large + small]


def pyramid(rng):
    return lathe([(0, 0), (rng.uniform(0.42, 0.5), 0), (0, rng.uniform(0.55, 0.85))], segments=4)


def star(rng):
    points = rng.integers(5, 8)
    radii = np.where(np.arange(2 * points) % 2, rng.uniform(0.18, 0.25), 0.48)
    angles = np.pi / 2 + np.pi * np.arange(2 * points) / points
    outline = radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return slab(outline - [0, outline[:, 1].min()], rng.uniform(0.12, 0.22))


def gear(rng):
    teeth = rng.integers(8, 13)
    angles = 2 * np.pi * (np.arange(4 * teeth) + 0.5) / (4 * teeth)
    radii = np.where(np.arange(4 * teeth) % 4 < 2, 0.46, rng.uniform(0.35, 0.39))
    outline = radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1) + [0, 0.46]
    hub = lathe([(0, -0.2), (0.1, -0.2), (0.1, 0.2), (0, 0.2)])[:, :, [0, 2, 1]] + [0, 0, 0.46]
    return np.concatenate([slab(outline, rng.uniform(0.12, 0.2)), hub])


def mug(rng):
    radius, height = rng.uniform(0.25, 0.32), rng.uniform(0.6, 0.8)
    cup = lathe([(0, 0), (radius, 0), (radius, height), (radius - 0.04, height), (radius - 0.04, 0.06), (0, 0.06)])
    handle = arc(0.17, -90, 90)
    path = np.stack([radius - 0.02 + handle[:, 0], np.zeros(16), height / 2 + handle[:, 1]], axis=1)
    return np.concatenate([cup, tube(path, 0.04)])


def bottle(rng):
    radius, neck, shoulder = rng.uniform(0.2, 0.27), rng.uniform(0.06, 0.09), rng.uniform(0.5, 0.62)
    return lathe([(0, 0), (radius, 0), (radius, shoulder), (neck, shoulder + 0.18), (neck, 0.97), (0, 0.97)])


def bowl(rng):
    radius = rng.uniform(0.42, 0.49)
    outer = moved(arc(radius, -80, 0), 0, radius)
    inner = moved(arc(radius - 0.05, 0, -90), 0, radius)
    return lathe([(0, 0.0), *outer, *inner])


def table(rng):
    half, high, leg = rng.uniform(0.36, 0.48), rng.uniform(0.45, 0.65), 0.05
    legs = [
        box([x - leg, y - leg, 0], [x + leg, y + leg, high])
        for x in (leg - half, half - leg)
        for y in (leg - 0.34, 0.34 - leg)
    ]
    return np.concatenate([box([-half, -0.34, high], [half, 0.34, high + 0.07]), *legs])


def chair(rng):
    half, seat, leg = rng.uniform(0.24, 0.3), rng.uniform(0.4, 0.5), 0.035
    legs = [
        box([x - leg, y - leg, 0], [x + leg, y + leg, seat])
        for x in (leg - half, half - leg)
        for y in (leg - half, half - leg)
    ]
    back = box([-half, half - 0.06, seat], [half, half, rng.uniform(0.9, 1)])
    return np.concatenate([box([-half, -half, seat], [half, half, seat + 0.06]), back, *legs])


def ladder(rng):
    half, rungs = rng.uniform(0.2, 0.27), rng.integers(4, 7)
    rails = [box([x - 0.04, -0.04, 0], [x + 0.04, 0.04, 1]) for x in (-half, half)]
    steps = [box([-half, -0.03, z - 0.03], [half, 0.03, z + 0.03]) for z in np.linspace(0.12, 0.9, rungs)]
    return np.concatenate([*rails, *steps])


def spring(rng):
    radius, height = rng.uniform(0.26, 0.36), rng.uniform(0.7, 0.85)
    return tube(helix(radius, height, rng.uniform(3.5, 5), 0.06), 0.055, segments=9)


def mushroom(rng):
    cap, stem, high = rng.uniform(0.38, 0.48), rng.uniform(0.1, 0.15), rng.uniform(0.4, 0.55)
    top = arc(cap, 0, 90) * [1, rng.uniform(0.7, 0.95)] + [0, high]
    return lathe([(0, 0), (stem, 0), (stem * 0.85, high), *top])


def tree(rng):
    trunk = lathe([(0, 0), (0.07, 0), (0.07, 0.3), (0, 0.3)])
    layers, width = rng.integers(2, 5), rng.uniform(0.34, 0.44)
    step = 0.72 / (layers + 0.5)
    cones = [
        lathe([(0, 0.24 + n * step), (width * (1 - 0.22 * n), 0.24 + n * step), (0, 0.24 + (n + 1.5) * step)])
        for n in range(layers)
    ]
    return np.concatenate([trunk, *cones])


def arch(rng):
    outer, depth, base = rng.uniform(0.4, 0.48), rng.uniform(0.2, 0.34), rng.uniform(0.25, 0.45)
    inner = outer - rng.uniform(0.13, 0.18)
    pillars = [box([low, -depth / 2, 0], [high, depth / 2, base]) for low, high in ((-outer, -inner), (inner, outer))]
    return np.concatenate([bow(inner, outer, depth, base), *pillars])


def dumbbell(rng):
    weight, bar = rng.uniform(0.17, 0.22), rng.uniform(0.05, 0.07)
    whole = [lathe(moved(arc(weight, -90, 90), 0, z)) for z in (weight, 0.98 - weight)]
    whole.append(lathe([(bar, weight), (bar, 0.98 - weight)]))
    flat = np.concatenate(whole) - [0, 0, 0.49]
    return flat[:, :, [2, 1, 0]] + [0, 0, weight]


def jack(rng):
    half, thick = 0.46, rng.uniform(0.06, 0.1)
    bars = [
        box(-np.where(np.arange(3) == axis, half, thick), np.where(np.arange(3) == axis, half, thick))
        for axis in range(3)
    ]
    return moved(np.concatenate(bars), 0, 0, half)


CLASSES = (
    ball, cube, cone, cylinder, ring, pyramid, star, gear, mug, bottle,
    bowl, table, chair, ladder, spring, mushroom, tree, arch, dumbbell, jack,
)  # fmt: skip
"""Class n, from 1, is CLASSES[n - 1]; 0 is the ground and the walls."""


def normals_of(triangles):
    """The normals (T, 3, 3) of the corners, each the mean over the faces that meet there at a small angle."""
    faces = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])  # as long as their area
    units = faces / np.linalg.norm(faces, axis=1, keepdims=True)
    corners = np.repeat(np.arange(len(triangles)), 3)
    _, place = np.unique(np.round(triangles.reshape(-1, 3), 5), axis=0, return_inverse=True)
    order = np.argsort(place, kind="stable")
    normals = np.empty((len(corners), 3))
    for group in np.split(order, np.flatnonzero(np.diff(place[order])) + 1):
        of = corners[group]
        shares = (units[of] @ units[of].T) > SMOOTH
        normals[group] = shares @ faces[of]
    return (normals / np.linalg.norm(normals, axis=1, keepdims=True)).reshape(-1, 3, 3)
