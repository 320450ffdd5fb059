from fresh_python import imported

from mlcd_eval.support.bundled import demo_data_dir, published_dir, tasks_dir


def test_a_checkout_reads_its_own_folders():
    assert (tasks_dir().parent / "pyproject.toml").is_file()
    assert (tasks_dir() / "zeroshot/imagenet.yaml").is_file()
    assert (published_dir() / "linear_probe_vit_l14.json").is_file()


def test_the_demo_data_comes_with_its_licences():
    licences = (demo_data_dir() / "LICENSES.md").read_text()
    folders = [folder.name for folder in demo_data_dir().iterdir() if folder.is_dir()]
    expected = ["densedemo", "docdemo", "emoji_names", "refer", "shapedemo"]
    expected += ["wds_demo_captions", "wds_demo_clipart"]
    assert sorted(folders) == expected
    assert all(folder in licences for folder in folders)
    assert sum(file.stat().st_size for file in demo_data_dir().rglob("*")) < 20e6


def test_finding_files_imports_nothing_heavy():
    loaded = imported("import mlcd_eval.support.bundled, mlcd_eval.tables.published, mlcd_eval.spec")
    assert not {"torch", "numpy", "pandas", "sklearn", "rich", "open_clip"} & loaded
