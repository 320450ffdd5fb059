"""Small pictures and lists for searches, and all samples of a split."""

from PIL import Image


def write(path, contents=None, size=(8, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    if contents is None:
        Image.new("RGB", size, (len(path.name), 0, 0)).save(path)
    else:
        path.write_text(contents)
    return path
