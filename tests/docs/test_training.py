"""docs/training.md: its config runs, and the command prints what the page says."""

from documentation import ROOT, blocks, holds, run
from pairs import picture, write_shard

PAGE = ROOT / "docs" / "training.md"


def test_the_config_of_the_page_trains(tmp_path):
    for shard in range(4):
        members = []
        for number in range(10):
            text = b"" if (shard, number) == (1, 3) else b"a red thing"
            members += [(f"{shard}{number}.jpg", picture("red", number)), (f"{shard}{number}.txt", text)]
        write_shard(tmp_path / "crawl" / f"{shard:05d}.tar", members)
    config, command, output = blocks(PAGE)
    (tmp_path / config.file).write_text(config.text)
    printed = run(command.text, tmp_path, tmp_path)
    assert holds(printed, output.text), printed
