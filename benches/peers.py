"""Packs a folder the way each Python tool's users do: PYTHON peers.py TOOL FOLDER OUT.

Two processes, shards of 150 MB, raw bytes, samples in the order of their names, no manifest, no
checks. The last line of output says how long it took without the imports.
"""

import json
import multiprocessing
import os
import sys
import time
import warnings
from pathlib import Path

SHARD, PROCESSES = 150_000_000, 2


def samples(folder: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """(key, [(field, path)]), grouped by file name up to the first dot; sorted."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for parent, _, names in os.walk(folder):
        prefix = os.path.relpath(parent, folder) + "/"
        for name in names:
            stem, _, field = name.partition(".")
            groups.setdefault(prefix + stem, []).append((field.lower(), f"{parent}/{name}"))
    return sorted((key, sorted(fields)) for key, fields in groups.items())


def content(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.readall()


class Shards:
    """The shards of one process: `open` makes the next one whenever the last is full."""

    def __init__(self, open, worker: int):
        self.open, self.worker, self.number, self.used, self.writer = open, worker, 0, SHARD, None

    def room(self, size: int):
        if self.used + size > SHARD:
            self.close()
            self.writer = self.open(f"{self.worker}-{self.number:05}")
            self.number, self.used = self.number + 1, 0
        self.used += size
        return self.writer

    def close(self):
        if self.writer:
            self.writer.close()


def webdataset():
    from webdataset import ShardWriter

    def pack(part, worker, out):
        with ShardWriter(f"{out}/{worker}-%05d.tar", maxsize=SHARD, maxcount=1 << 40, verbose=0) as writer:
            for key, fields in part:
                writer.write({"__key__": key} | {field: content(path) for field, path in fields})

    return pack


def mxnet():
    """Each file becomes a record: there is no place for a second field."""
    warnings.simplefilter("ignore")
    import numpy

    numpy.bool = bool  # mxnet 1.9 predates numpy 1.24
    from mxnet.recordio import IRHeader, MXIndexedRecordIO
    from mxnet.recordio import pack as pack_record

    def pack(part, worker, out):
        shards = Shards(lambda name: MXIndexedRecordIO(f"{out}/{name}.idx", f"{out}/{name}.rec", "w"), worker)
        number = 0
        for _, fields in part:
            for _, path in fields:
                record = pack_record(IRHeader(0, 0.0, number, 0), content(path))
                shards.room(len(record) + 8).write_idx(number, record)
                number += 1
        shards.close()

    return pack


def tensorflow():
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    train = tf.train

    def feature(value):
        return train.Feature(bytes_list=train.BytesList(value=[value]))

    def pack(part, worker, out):
        shards = Shards(lambda name: tf.io.TFRecordWriter(f"{out}/{name}.tfrecord"), worker)
        for key, fields in part:
            features = {"__key__": feature(key.encode())} | {field: feature(content(path)) for field, path in fields}
            record = train.Example(features=train.Features(feature=features)).SerializeToString()
            shards.room(len(record) + 16).write(record)
        shards.close()

    return pack


def main() -> None:
    tool, folder, out = sys.argv[1:]
    pack = {"webdataset": webdataset, "mxnet": mxnet, "tensorflow": tensorflow}[tool]()
    Path(out).mkdir(parents=True)
    start = time.monotonic()
    everything = samples(folder)
    fork = multiprocessing.get_context("fork")  # what was imported and listed is shared
    bounds = [len(everything) * worker // PROCESSES for worker in range(PROCESSES + 1)]
    workers = [
        fork.Process(target=pack, args=(everything[bounds[worker] : bounds[worker + 1]], worker, out))
        for worker in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            sys.exit(f"a process ended with {worker.exitcode}")
    print(json.dumps({"seconds": time.monotonic() - start}))


if __name__ == "__main__":
    main()
