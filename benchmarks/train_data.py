"""Training batches per second of CPU: ours against a webdataset DataLoader and open_clip's pipeline, on the same tars.

python benchmarks/train_data.py [--images 4096] [--workers 1 2] [--batch 256] [--size 224]

The tars hold JPEGs of 500 x 375 (photos.py) with captions, as img2dataset writes them. All sides take a random resized
crop (scale 0.4 to 1) to --size, bicubic. Given per side: images per second of CPU of the main process, which is what
it can feed a GPU; images per second of CPU of everything, with what workers did ahead; images per second of the clock.

`webdataset` hands uint8 tensors over. `open_clip` is its own get_wds_dataset, with a transform that hands over float32.
Ours hands over uint8, which the device normalises. Decode and augment alone are measured in this process, on one core.
CPU seconds count, so that a busy machine changes mostly the clock.
"""

import argparse
import io
import os
import platform
import random
import resource
import tarfile
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import torch
from photos import DISTINCT, jpegs
from PIL import Image
from torchvision import transforms

from mlcd_train.data.batches import Share
from mlcd_train.data.decoders import Load, difference
from mlcd_train.data.pixels import order_of
from mlcd_train.data.slices import Reading
from mlcd_train.data.source import open_training_data
from mlcd_train.data.workers import Workers
from mlcd_train.sections import Augmentation, DataConfig

SHARDS = 16
CRAWLED = (341, 256)  # img2dataset's usual output: the shorter side 256, quality 95
FACTS = b'{"caption": "a photo", "url": "https://example.org/%s"}' % (b"x" * 300)
AUGMENTATION = Augmentation()


def write_tars(folder, count):
    contents = jpegs()
    for shard in range(SHARDS):
        with tarfile.open(folder / f"{shard:05d}.tar", "w") as tar:
            for number in range(count // SHARDS):
                for suffix, data in (("jpg", contents[number % DISTINCT]), ("txt", b"a photo"), ("json", FACTS)):
                    header = tarfile.TarInfo(f"{shard:05d}{number:04d}.{suffix}")
                    header.size = len(data)
                    tar.addfile(header, io.BytesIO(data))


def cpu():
    """Seconds of CPU of this process, and of it and its ended children."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    mine = own.ru_utime + own.ru_stime
    return mine, mine + children.ru_utime + children.ru_stime


def measured(title, source, count):
    """Print the rates of taking `count` images. source: an iterator over batches' sizes, and what ends its workers."""
    batches, finish = source
    next(batches)
    (main, total), clock, taken = cpu(), time.perf_counter(), 0
    while taken < count:
        taken += next(batches)
    main_taken, seconds = cpu()[0] - main, time.perf_counter() - clock
    finish()
    print(
        f"{title:44} {taken / main_taken:10,.0f} {taken / (cpu()[1] - total):10,.0f} {taken / seconds:10,.0f}",
        flush=True,
    )


def ours(folder, args, workers, decoder):
    config = DataConfig(train=f"tars:{folder}/*.tar", shuffle=1000, decoder=decoder)
    split = open_training_data(config, None, captions=True)
    load = Load(decoder, AUGMENTATION, args.size, config.min_side)
    reading = Reading(split, order_of(split, config, args.batch, 0), args.batch, load, {})
    team = Workers(reading, Share(args.batch).window, (args.size, args.size, 3), workers)
    return (len(rows) for rows, _ in team.batches()), team.close


def of_loader(loader):
    iterator = iter(loader)  # a generator, whose end is that of its workers
    return (len(images) for images, _ in iterator), iterator.close


def crop(size):
    return transforms.RandomResizedCrop(size, scale=AUGMENTATION.scale, interpolation=Image.Resampling.BICUBIC)


def webdataset_loader(folder, args, workers):
    import webdataset as wds

    shards = sorted(map(str, folder.glob("*.tar")))
    transform = transforms.Compose([crop(args.size), transforms.PILToTensor()])
    dataset = (
        wds.WebDataset(shards, resampled=True, nodesplitter=None)
        .shuffle(1000)
        .decode("pilrgb")
        .to_tuple("jpg", "txt")
        .map_tuple(transform, None)
        .batched(args.batch)
    )
    return of_loader(wds.WebLoader(dataset, batch_size=None, num_workers=workers))


def open_clip_loader(folder, args, workers):
    from open_clip_train import data

    grouped = data.group_by_keys_nothrow  # of older webdatasets, which marked no end of a tar by an empty sample
    data.group_by_keys_nothrow = lambda files, **given: grouped(filter(None, files), **given)
    transform = transforms.Compose([crop(args.size), transforms.ToTensor()])
    options = SimpleNamespace(
        train_data=f"{folder}/{{00000..{SHARDS - 1:05d}}}.tar",
        train_data_upsampling_factors=None,
        dataset_resampled=True,
        train_num_samples=100 * args.images,
        seed=0,
        batch_size=args.batch,
        workers=workers,
        world_size=1,
    )
    return of_loader(data.get_wds_dataset(options, transform, is_train=True, tokenizer=lambda text: [text]).dataloader)


def alone(decoder, contents, args):
    """Images per second of CPU, decoded and augmented on one core."""
    load = Load(decoder, AUGMENTATION, args.size)
    started = time.process_time()
    for number in range(args.images // 4):
        load(contents[number % DISTINCT], "", random.Random(number))
    return args.images // 4 / (time.process_time() - started)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--workers", type=int, nargs="+", default=[2])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--size", type=int, default=224)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}")
    kinds = {"500 x 375, quality 92": jpegs(), "341 x 256, quality 95": jpegs(quality=95, size=CRAWLED)}
    for decoder in ("pil", "torch"):
        print(difference(decoder, AUGMENTATION, args.size))
        for kind, contents in kinds.items():
            rate = alone(decoder, contents, args)
            print(f"decode and augment on one core, {decoder}, JPEGs of {kind}: {rate:,.0f} per s", flush=True)
    print(f"{'images per second of':44} {'main CPU':>10} {'all CPU':>10} {'clock':>10}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tars(folder, args.images)
        for workers in args.workers:
            for decoder in ("pil", "torch"):
                title = f"mlcd-train, decoder {decoder}, {workers} workers"
                measured(title, ours(folder, args, workers, decoder), args.images)
            measured(f"webdataset, {workers} workers", webdataset_loader(folder, args, workers), args.images)
            try:
                pair = open_clip_loader(folder, args, workers)
            except ImportError as error:
                print(f"open_clip's pipeline: {error}")
                continue
            measured(f"open_clip, {workers} workers", pair, args.images)


if __name__ == "__main__":
    main()
