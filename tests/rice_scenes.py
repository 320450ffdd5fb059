"""Files of regions for the objective rice."""

import json

KEYS = [f"s{number:03d}" for number in range(40)]


def write_scene(path, changes=None):
    """An object in the left half and a text in the right half of each picture of 24 x 20 pixels."""
    rows = [
        {
            "key": key,
            "size": [24, 20],
            "regions": [
                {"box": [0, 0, 12, 20], "label": ["ball", "cube", "cone"][number % 3]},
                {"box": [12, 0, 12, 20], "text": ["no exit", "stop"][number % 2]},
            ],
        }
        for number, key in enumerate(KEYS)
    ]
    rows[0] |= changes or {}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
