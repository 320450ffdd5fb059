"""NYU Depth v2's two MATLAB files, of a few small images."""

import numpy as np
from scipy.io import savemat

SIZE, SCENES = (6, 8), ("kitchen_0004", "office_0001", "kitchen_0004", "den_0002")


def contents():
    """Pictures (N, height, width, 3) and depths (N, height, width), 0 where they are unknown."""
    chance = np.random.default_rng(0)
    images = chance.integers(0, 256, (len(SCENES), *SIZE, 3), dtype=np.uint8)
    depths = chance.uniform(0.7, 9.9, (len(SCENES), *SIZE)).astype(np.float32)
    depths[:, 0, :3] = 0
    return images, depths


def write(folder, spoil=lambda arrays: None, lists=None):
    """The folder; spoil: changes the arrays before they are written."""
    import h5py

    folder.mkdir(parents=True)
    images, depths = contents()
    arrays = {"images": images.transpose(0, 3, 2, 1), "rawDepths": depths.transpose(0, 2, 1)}
    spoil(arrays)
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, compression="gzip" if np.ndim(values) else None)
        names = [
            file.create_dataset(f"#refs#/{number}", data=np.array([*map(ord, scene)], np.uint16)[:, None]).ref
            for number, scene in enumerate(SCENES)
        ]
        file.create_dataset("scenes", data=np.array([names], h5py.ref_dtype))
    savemat(folder / "splits.mat", lists or {"trainNdxs": [[2], [4]], "testNdxs": [[1], [3]]})
    return folder
