"""The PyPI package `tfrecord` on our TFRecords, and the framing against a second crc32c."""

import gzip
import struct
import zlib

import crc32c
from tfrecord.example_pb2 import Example
from tfrecord.reader import tfrecord_iterator, tfrecord_loader

import trees
from harness import TREE, Dataset, check, equal, main, samples

INFLATE = {"none": bytes, "gzip": gzip.decompress, "zlib": zlib.decompress}


def masked(data):
    crc = crc32c.crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def payloads(data):
    """Records of a TFRecord file, both checksums verified: the format's definition in ten lines."""
    at = 0
    while at < len(data):
        length, length_crc = struct.unpack_from("<QI", data, at)
        equal(length_crc, masked(data[at : at + 8]), f"crc of the length at {at}")
        payload = data[at + 12 : at + 12 + length]
        equal(len(payload), length, f"payload at {at}")
        equal(struct.unpack_from("<I", data, at + 12 + length)[0], masked(payload), f"crc of the payload at {at}")
        yield payload
        at += 16 + length


def features(payload):
    """{name: list} of a `tf.train.Example`."""
    found = {}
    for name, feature in Example.FromString(payload).features.feature.items():
        kind = feature.WhichOneof("kind")
        found[name] = list(getattr(feature, kind).value) if kind else []
    return found


def sample(payload):
    found = features(payload)
    [key] = found.pop("__key__")
    return key.decode(), {name: values[0] for name, values in found.items() if not name.startswith("__")}


def compare(source, compression):
    options = [] if compression == "none" else ["--compress", compression]
    dataset = Dataset(source, "tfrecord", "--target", "1MB", *options)
    records = [p for s in dataset.shards for p in payloads(INFLATE[compression](s.read_bytes()))]
    want = samples(source)
    equal(dict(map(sample, records)), want, "samples")
    equal(len(records), len(want), "number of records")


@check
def framing_and_samples_are_exact():
    compare(TREE, "none")
    compare(trees.mixed(), "none")


@check
def gzip_and_zlib_shards_hold_the_same_records():
    compare(trees.mixed(), "gzip")
    compare(trees.mixed(), "zlib")


@check
def the_package_reads_plain_and_gzip():
    for compression in (None, "gzip"):
        options = ["--compress", compression] if compression else []
        dataset = Dataset(trees.mixed(), "tfrecord", "--target", "1MB", *options)
        records = []
        for shard in dataset.shards:
            # The iterator reuses its buffer: copy before it moves on.
            records += [bytes(r) for r in tfrecord_iterator(str(shard), compression_type=compression)]
        equal(dict(map(sample, records)), samples(trees.mixed()), f"samples, {compression}")


@check
def the_package_shards_by_our_index():
    dataset = Dataset(TREE, "tfrecord", "--target", "64KB", "--index", "tfrecord")
    found = {}
    for shard, index in zip(dataset.shards, dataset.indexes(".tfindex")):
        for worker in range(2):
            for record in tfrecord_loader(str(shard), str(index), {"__key__": "byte"}, shard=(worker, 2)):
                key = bytes(record["__key__"]).decode()
                assert key not in found, f"{key} came twice"
                found[key] = worker
    equal(sorted(found), sorted(samples(TREE)), "keys over both workers")


@check
def the_index_names_every_record():
    dataset = Dataset(trees.mixed(), "tfrecord", "--target", "1MB", "--index", "tfrecord")
    for shard, index in zip(dataset.shards, dataset.indexes(".tfindex")):
        data = shard.read_bytes()
        lines = [tuple(map(int, line.split())) for line in index.read_text().splitlines()]
        want, at = [], 0
        for payload in payloads(data):
            want.append((at, 16 + len(payload)))
            at += 16 + len(payload)
        equal(lines, want, index.name)


main(__name__)
