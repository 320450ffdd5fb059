"""Tables as data: Parquet files, and all samples of a split."""

import pyarrow as pa
import pyarrow.parquet as pq


def samples(dataset, split="test"):
    return [sample for shard in dataset.split(split).shards for sample in shard.samples()]


def parquet(path, columns, **options):
    pq.write_table(pa.table(columns), path, **options)
    return path
