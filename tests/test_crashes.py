"""Nothing is lost: kills, signals, a full or read-only disk, a cache that goes away, clocks, many runs on one cache."""

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from pairs import COLOURS, picture, write_shard
from safetensors.torch import load_file
from tiny_encoder import RedFinder, TinyEncoder

from mlcd_eval.cli import main
from mlcd_eval.encoders.checkpoint import CheckpointConfig, load_checkpoint, save_checkpoint
from mlcd_eval.encoders.preprocess import Preprocess
from mlcd_eval.features import encode
from mlcd_eval.features.store import Entry
from mlcd_train import loop
from mlcd_train.cli import main as train_main
from mlcd_train.fit import new_model

TASKS = "*/demo_*"  # 985 images, 4 tasks
TOWER = {"image_size": 16, "patch_size": 8, "width": 32, "depth": 1, "heads": 2}
TEXT = {"context_length": 12, "width": 32, "depth": 1, "heads": 2}


def evaluate(place, *more, tasks=TASKS, model="make"):
    places = ["--output", str(place / "out"), "--cache", str(place / "cache"), "--workers", "0", "--batch-size", "16"]
    return main(["run", "--model", f"python:tiny_encoder:{model}", "--tasks", tasks, *places, *more])


def records(place):
    """All but times and environment."""
    found = {}
    for path in sorted((place / "out").glob("*/*.json")):
        record = json.loads(path.read_text())
        del record["timing"], record["environment"]
        found[path.name] = record
    assert found and all(record["status"] == "ok" for record in found.values()), found
    return found


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Records of undisturbed runs."""
    place = tmp_path_factory.mktemp("undisturbed")
    assert evaluate(place) == 0
    return records(place)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Run a training in a place, by its command line; train.weights: what it came to."""
    root = tmp_path_factory.mktemp("data")
    members = []
    for number in range(24):
        colour = list(COLOURS)[number % 4]
        members += [(f"s{number}.png", picture(colour, number)), (f"s{number}.txt", f"a {colour} thing".encode())]
    write_shard(root / "train" / "0.tar", members)
    (root / "train" / "nshards.txt").write_text("1")
    (root / "dataset_type.txt").write_text("retrieval")
    one = {"batch_size": 8, "steps": 6, "save_every": 2, "log_every": 1, "optimizer": {"lr": 1e-3, "warmup": 2}}

    def run(place, *changes):
        config = {
            "name": "tiny",
            "output": str(place / "out"),
            "cache": str(place / "cache"),
            "device": "cpu",
            "data": {"train": f"wds:{root}", "shuffle": 15},
            "model": {"vision": TOWER, "embed_dim": 16},
            "embed": {"model": "python:tiny_encoder:make"},
            "cluster": {"k": 8},
            "assign": {"labels": 2},
            "fit": {**one, "objective": "mlcd"},
            "lit": {**one, "text": TEXT},
        }
        (root / "train.yaml").write_text(yaml.safe_dump(config))
        return train_main(
            ["run", str(root / "train.yaml"), *(word for change in changes for word in ("--set", change))]
        )

    run.weights = lambda place: (place / "out" / "tiny" / "model.safetensors").read_bytes()
    place = tmp_path_factory.mktemp("undisturbed_training")
    assert run(place) == 0
    run.expected = run.weights(place)
    return run


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Many parts a split; and the handler of SIGTERM as it was."""
    monkeypatch.setattr(encode, "CHUNK", 16)
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


def after_images(monkeypatch, count, act):
    """Call act() once, when the tiny encoder is given images after its first `count`."""
    seen, TinyEncoder.images_seen = TinyEncoder.encode_images, 0

    def watched(self, pixels, layers):
        if count <= TinyEncoder.images_seen < count + len(pixels):
            act()
        return seen(self, pixels, layers)

    monkeypatch.setattr(TinyEncoder, "encode_images", watched)


def before_step(monkeypatch, wanted, act):
    """Call act() before that step of training, each time."""
    original = loop.learning_rate

    def rate(step, *rest):
        if step == wanted:
            act()
        return original(step, *rest)

    monkeypatch.setattr(loop, "learning_rate", rate)


def temporary_files(place):
    return [path for path in place.rglob("*") if path.name.endswith((".tmp", ".old"))]


def test_killed_runs_resume():
    """benchmarks/crashes.py in its short form; its whole output stands in benchmarks/results."""
    words = ["--kills", "3", "--train-kills", "3", "--tasks", TASKS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "benchmarks/crashes.py", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.count(" 3 kills") == 2 and "0 there at the end" in done.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_stop_cleanly_and_the_run_goes_on(tmp_path, monkeypatch, capsys, expected, train, number, code):
    with monkeypatch.context() as patch:
        after_images(patch, 300, lambda: signal.raise_signal(number))
        assert evaluate(tmp_path) == code
    how = "interrupted" if code == 130 else "terminated"
    assert capsys.readouterr().err.splitlines()[-1] == f"mlcd-eval: {how}; the same command goes on where it stopped"
    assert not temporary_files(tmp_path)
    TinyEncoder.images_seen = 0
    assert evaluate(tmp_path) == 0 and TinyEncoder.images_seen <= 985 - 300 + 16
    assert records(tmp_path) == expected

    place = tmp_path / "training"
    for stage_step in (3, 5):
        with monkeypatch.context() as patch:
            before_step(patch, stage_step, lambda: signal.raise_signal(number))
            assert train(place) == code
        assert "Traceback" not in capsys.readouterr().err
    assert train(place) == 0 and train.weights(place) == train.expected
    assert not temporary_files(place)


SLOW = """
import sys, time
sys.path.insert(0, "tests")
import tiny_encoder
from mlcd_eval.features import encode
encode.CHUNK = 16
encoded = tiny_encoder.TinyEncoder.encode_images
def slow(self, pixels, layers):
    print("AT WORK", flush=True)
    time.sleep(0.3)
    return encoded(self, pixels, layers)
tiny_encoder.TinyEncoder.encode_images = slow
from mlcd_eval.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_worker_processes_end_with_the_run(tmp_path, number):
    """Ctrl-C reaches the whole group; kill -9 the parent alone, whose workers would wait for ever with its locks."""
    words = ["run", "--model", "python:tiny_encoder:make", "--tasks", "knn/demo_clipart", "--workers", "2"]
    words += ["--output", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--batch-size", "8"]
    run = subprocess.Popen(
        [sys.executable, "-c", SLOW, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stdout.readline() == "AT WORK\n"
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    assert len(children) == 2
    os.killpg(run.pid, number) if number == signal.SIGINT else run.send_signal(number)
    _, error = run.communicate(timeout=30)
    assert run.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    assert "Traceback" not in error or number == signal.SIGKILL  # a worker may just have spoken to its parent
    until = time.monotonic() + 10
    while any(map(_is_alive, children)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(_is_alive, children))


def _is_alive(process):
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.fixture
def disk(tmp_path):
    """A file system of 4 MB, and what fills it up to so many bytes."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("no mount command")
    if mounted.returncode:
        pytest.skip("file systems cannot be mounted here")

    def fill(free):
        (place / "filler").unlink(missing_ok=True)
        status = os.statvfs(place)
        (place / "filler").write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - free)))

    yield place, fill
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_is_one_sentence_and_nothing_is_half_written(disk, tmp_path, capsys, expected, train):
    place, fill = disk
    told = 0
    for free in (4 << 10, 40 << 10, 160 << 10, 400 << 10, 700 << 10):
        fill(free)
        code, errors = evaluate(place), capsys.readouterr().err.splitlines()
        assert not temporary_files(place)
        assert code in (0, 2)
        if code == 2:
            told += 1
            assert errors[-1].startswith("mlcd-eval: error: no space left on the device: ")
            assert "Traceback" not in "".join(errors)
    assert told >= 3
    (place / "filler").unlink()
    assert evaluate(place) == 0 and records(place) == expected
    shutil.rmtree(place / "out"), shutil.rmtree(place / "cache")

    told = 0
    for free in (4 << 10, 40 << 10, 100 << 10, 160 << 10, 250 << 10, 330 << 10, 450 << 10):
        fill(free)
        code, error = train(place, "lit=null"), capsys.readouterr().err
        assert code in (0, 2) and not temporary_files(place)
        if code == 2:
            told += 1
            assert error.splitlines()[-1].startswith("mlcd-train: error: no space left on the device")
            assert "Traceback" not in error
    assert told >= 4
    (place / "filler").unlink()
    assert train(place, "lit=null") == train(tmp_path, "lit=null") == 0
    assert train.weights(place) == train.weights(tmp_path)


def test_an_export_to_a_full_disk(disk, train, tmp_path, capsys):
    pytest.importorskip("transformers")
    place, fill = disk
    train(tmp_path)
    config = next(path for path in tmp_path.parent.rglob("train.yaml"))
    fill(20 << 10)
    for kind in ("hf", "open_clip"):
        assert train_main(["export", str(config), "--format", kind, "--to", str(place / kind)]) == 2
        assert "no space left on the device" in capsys.readouterr().err.splitlines()[-1]
        assert [path.name for path in place.iterdir()] == ["filler"]


def test_a_read_only_output_is_told_before_any_work(disk, train, capsys):
    place, _ = disk
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    TinyEncoder.images_seen = 0
    for name, code in (("mlcd-eval", evaluate(place)), ("mlcd-train", train(place))):
        assert code == 2 and TinyEncoder.images_seen == 0, name
    eval_error, train_error = (line for line in capsys.readouterr().err.splitlines() if "error" in line)
    assert eval_error == f"mlcd-eval: error: the file system is read-only: {place}/out"
    assert train_error == f"mlcd-train: error: the file system is read-only: {place}/cache"


@pytest.mark.parametrize("moment", ["encoding", "joined", "texts"])
def test_a_cache_removed_while_running(tmp_path, monkeypatch, capsys, expected, moment):
    """What was encoded before is not there: a part of the features must not pass for all of them."""
    with monkeypatch.context() as patch:
        if moment == "encoding":
            after_images(patch, 300, lambda: shutil.rmtree(tmp_path / "cache"))
        else:
            name = "features" if moment == "joined" else "array"
            original, first = getattr(Entry, name), itertools.count()

            def removed(self):
                if next(first) == 0:
                    shutil.rmtree(tmp_path / "cache")
                return original(self)

            patch.setattr(Entry, name, removed)
        assert evaluate(tmp_path) == 2
    error = capsys.readouterr().err
    assert "went away: expected the cache to stay while a run uses it" in error and "Traceback" not in error
    assert evaluate(tmp_path) == 0
    assert records(tmp_path) == expected


def test_a_cache_removed_while_a_model_is_asked(tmp_path, monkeypatch, capsys):
    original, RedFinder.asked = RedFinder.segment, 0

    def removed(self, image, expression):
        if RedFinder.asked == 50:
            shutil.rmtree(tmp_path / "cache")
        return original(self, image, expression)

    with monkeypatch.context() as patch:
        patch.setattr(RedFinder, "segment", removed)
        assert evaluate(tmp_path, tasks="refcoco/demo", model="red_finder") == 2
    error = capsys.readouterr().err
    assert "went away" in error and "Traceback" not in error
    assert evaluate(tmp_path, tasks="refcoco/demo", model="red_finder") == 0


def test_a_cache_removed_while_training(tmp_path, monkeypatch, capsys, train):
    with monkeypatch.context() as patch:
        after_images(patch, 16, lambda: shutil.rmtree(tmp_path / "cache"))
        assert train(tmp_path) == 2
    assert "went away" in capsys.readouterr().err.splitlines()[-1]
    with monkeypatch.context() as patch:
        before_step(patch, 3, lambda: shutil.rmtree(tmp_path / "cache", ignore_errors=True))
        assert train(tmp_path) == 0  # neither stage of training needs it any more
    assert train.weights(tmp_path) == train.expected


@pytest.mark.parametrize("year", [1971, 2100])
def test_clocks_that_jump_confuse_nothing(tmp_path, monkeypatch, expected, train, year):
    def shift():
        for path in tmp_path.rglob("*"):
            os.utime(path, ns=((year - 1970) * 31_556_952 * 10**9,) * 2)

    with monkeypatch.context() as patch:
        after_images(patch, 300, lambda: signal.raise_signal(signal.SIGINT))
        assert evaluate(tmp_path) == 130
    shift()
    assert evaluate(tmp_path) == 0
    shift()
    TinyEncoder.images_seen = 0
    assert evaluate(tmp_path) == 0 and TinyEncoder.images_seen == 0
    assert records(tmp_path) == expected
    place = tmp_path / "training"
    with monkeypatch.context() as patch:
        before_step(patch, 3, lambda: signal.raise_signal(signal.SIGINT))
        assert train(place) == 130
    shift()
    assert train(place) == 0 and train.weights(place) == train.expected


def killed_before(change, work):
    """Run work() in a child that is killed right before its how manyth change of a folder; whether it was."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
    changes = itertools.count(1)

    def audit(event, _):
        if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir") and next(changes) == change:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        sys.addaudithook(audit)
        work()
    finally:
        os._exit(0)


def test_a_checkpoint_that_is_replaced_is_there_or_comes_back(tmp_path, monkeypatch):
    folder, shape = tmp_path / "model", CheckpointConfig(vision=TOWER, preprocess=Preprocess(image_size=16))
    old, new = (new_model(shape, seed, torch.device("cpu")) for seed in (0, 1))

    def holds():
        weights = load_checkpoint(folder).state_dict()
        return "old" if torch.equal(weights["visual.class_embedding"], old.visual.class_embedding) else "new"

    def full(*_):
        raise OSError("full")

    missing = []
    for change in itertools.count(1):
        shutil.rmtree(tmp_path), tmp_path.mkdir()
        save_checkpoint(folder, old)
        if not killed_before(change, lambda: save_checkpoint(folder, new)):
            break
        if folder.exists():
            assert holds() in ("old", "new")
        else:
            missing.append(change)
            with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
                patch.setattr("mlcd_eval.encoders.checkpoint.write_tensors", full)
                save_checkpoint(folder, new)  # that fails, and has still brought the old one back
            assert holds() == "old"
        save_checkpoint(folder, new)
        assert holds() == "new" and [path.name for path in tmp_path.iterdir()] == ["model"]
    assert len(missing) == 1 and change > 5


def test_two_trainings_do_not_share_an_output(tmp_path, monkeypatch, capsys, train):
    def again():
        assert train(tmp_path) == 2

    before_step(monkeypatch, 3, again)
    assert train(tmp_path) == 0
    assert f"mlcd-train: error: output: another mlcd-train is at work in {tmp_path}/out" in capsys.readouterr().err
    assert train.weights(tmp_path) == train.expected


def test_evaluations_while_training_leave_nothing_when_killed(tmp_path, train):
    killed = ["fit.evaluate={every: 2, tasks: [knn/demo_clipart]}", "lit=null"]
    assert train(tmp_path, *killed) == 0
    left = tmp_path / "out" / "fit" / ".evaluate" / "tiny_step2"
    shutil.rmtree(tmp_path / "out" / "fit"), left.mkdir(parents=True)
    (left / "config.json").write_text("half")
    shutil.rmtree(tmp_path / "out" / "tiny")
    assert train(tmp_path, *killed) == 0
    assert not (tmp_path / "out" / "fit" / ".evaluate").exists()
    assert load_file(tmp_path / "out" / "tiny" / "model.safetensors")


AT_ONCE = """
import os, sys
sys.path.insert(0, "tests")
import tiny_encoder
from mlcd_eval.features import encode
encode.CHUNK = 16
from mlcd_eval.cli import main
import mlcd_eval.run, mlcd_eval.tables.summary
count, apart, place, model, tasks = int(sys.argv[1]), *sys.argv[2:]
children = []
for number in range(count):
    child = os.fork()
    if child == 0:
        output = f"{place}/{number if apart == 'apart' else 0}/out"
        words = ["--output", output, "--cache", f"{place}/cache", "--workers", "0", "--batch-size", "5"]
        code = main(["run", "--model", f"python:tiny_encoder:{model}", "--tasks", tasks, *words])
        seen = tiny_encoder.TinyEncoder.images_seen, tiny_encoder.RedFinder.asked
        os.write(1, f"SEEN {code} {seen[0]} {seen[1]}\\n".encode())
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""


@pytest.mark.parametrize(("count", "name"), [(2, "apart"), (8, "apart"), (2, "same"), (8, "same")])
def test_runs_at_once_on_one_cache(tmp_path, expected, count, name):
    """Each image is encoded once over all of them, and all records are as from one run alone."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(place, model, tasks):
        command = [sys.executable, "-c", AT_ONCE, str(count), name, str(place), model, tasks]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
        lines = [list(map(int, line.split()[1:])) for line in done.stdout.splitlines() if line.startswith("SEEN")]
        assert len(lines) == count and all(code == 0 for code, _, _ in lines), done.stderr[-3000:]
        assert "damaged" not in done.stderr and "Traceback" not in done.stderr
        return sum(seen for _, seen, _ in lines), sum(asked for _, _, asked in lines)

    place = tmp_path / name
    assert run(place, "make", TASKS) == (985, 0)
    outputs = [path for path in place.iterdir() if path.name.isdigit()]
    assert len(outputs) == (1 if name == "same" else count)
    assert all(records(output) == expected for output in outputs)
    if count == 2:
        assert run(tmp_path / f"{name}_asked", "red_finder", "refcoco/demo,docvqa/demo") == (0, 154 + 72)
