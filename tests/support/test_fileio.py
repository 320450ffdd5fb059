import json

from mlcd_eval.support.fileio import write_text


def test_names_that_are_not_utf8_are_written_escaped(tmp_path):
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")  # as Python reads such a file name
    write_text(tmp_path / "x.json", json.dumps({"key": name}, ensure_ascii=False))
    assert (tmp_path / "x.json").read_bytes() == b'{"key": "caf\\udce9.png"}'
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {"key": name}
