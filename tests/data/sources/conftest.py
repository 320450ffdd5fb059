import pytest


@pytest.fixture
def write(tmp_path, make):
    """A function that writes a CSV file, and the images that it names unless they are there."""

    def write(text, name="data.csv", encoding="utf-8", images=("a.png", "b.png", "c.png", "deep/d.png")):
        for number, image in enumerate(images):
            (tmp_path / image).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / image).write_bytes(make.image((number, 0, 0)))
        (tmp_path / name).write_bytes(text.encode(encoding))
        return tmp_path / name

    return write
