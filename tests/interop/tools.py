"""One set of samples, written and read by each tool in the tool's own environment:

    python tools.py write TOOL FOLDER     two shards of it
    python tools.py read TOOL SHARD...    what the tool finds there, a JSON object a sample

so that a check can go from any tool's shards to any other tool's reader.
"""

import json
import os
import random
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import MAGIC, TREE, classes, samples

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


@dataclass
class Row:
    """A sample as a tool sees it. What a tool's format has no place for is empty."""

    key: str
    label: float
    fields: dict  # name -> bytes; RecordIO has one, without a name

    def line(self):
        return json.dumps(asdict(self) | {"fields": {name: body.hex() for name, body in self.fields.items()}})

    @classmethod
    def parse(cls, line):
        row = json.loads(line)
        return cls(row["key"], row["label"], {name: bytes.fromhex(body) for name, body in row["fields"].items()})


def written():
    """The samples that every tool writes, in order: pictures with their class, and some whose bytes
    RecordIO splits. A caption goes along where the format has a place for it."""
    ids, rng, rows = classes(TREE), random.Random("tools"), []
    for key, fields in sorted(samples(TREE, {"jpg", "png"}).items()):
        rows.append(Row(key, ids[key.partition("/")[0]], fields))
    for i in range(12):
        # Long enough for what a JPEG begins with, so that a reader who knows no name finds one.
        body = b"\xff\xd8\xff\xe0" + rng.randbytes(4 * i) + MAGIC * (i % 3 + 1) + rng.randbytes(i) + MAGIC
        rows.append(Row(f"split/{i:02}", 4 + i % 2, {"jpg": body}))
    for row in rows:
        row.fields["txt"] = f"caption of {row.key}".encode()
    return rows


def picture(row):
    """Name and bytes of the field that is no caption."""
    [found] = [(name, body) for name, body in row.fields.items() if name != "txt"]
    return found


def halves(folder, extension):
    """Two shards and what belongs in each."""
    rows = written()
    middle = len(rows) // 2
    for name, part in (("a", rows[:middle]), ("b", rows[middle:])):
        yield str(Path(folder) / f"{name}.{extension}"), part


def write_webdataset(folder):
    import webdataset

    for path, rows in halves(folder, "tar"):
        with webdataset.TarWriter(path) as writer:
            for row in rows:
                writer.write({"__key__": row.key, "cls": row.label, **row.fields})


def read_webdataset(shards):
    import webdataset

    for sample in webdataset.WebDataset(shards, shardshuffle=False, empty_check=False):
        yield grouped(sample["__key__"], {k: v for k, v in sample.items() if not k.startswith("__")})


def read_tarfile(shards):
    import tarfile

    found = {}
    for shard in shards:
        with tarfile.open(shard) as archive:
            for member in archive:
                folder, slash, name = member.name.rpartition("/")
                stem, _, field = name.partition(".")
                found.setdefault(folder + slash + stem, {})[field] = archive.extractfile(member).read()
    for key, fields in found.items():
        yield grouped(key, fields)


def grouped(key, fields):
    return Row(key, float(fields.pop("cls")), fields)


def write_tensorflow(folder):
    """As image pipelines have it: image/encoded, image/class/label and so on."""
    import tensorflow as tf

    feature, train = tf.train.Feature, tf.train
    text = lambda value: feature(bytes_list=train.BytesList(value=[value]))
    for path, rows in halves(folder, "tfrecord"):
        with tf.io.TFRecordWriter(path) as writer:
            for row in rows:
                name, body = picture(row)
                features = {
                    "image/encoded": text(body),
                    "image/format": text({"jpg": b"JPEG", "png": b"PNG"}[name]),
                    "image/filename": text(f"{row.key}.{name}".encode()),
                    "image/class/label": feature(int64_list=train.Int64List(value=[row.label])),
                    "txt": text(row.fields["txt"]),
                }
                example = train.Example(features=train.Features(feature=features))
                writer.write(example.SerializeToString())


def read_tensorflow(shards):
    import tensorflow as tf

    for payload in tf.data.TFRecordDataset(shards):
        yield example(tf.train.Example.FromString(payload.numpy()))


def write_tfrecord(folder):
    """With one feature a field, and none that is known to anyone."""
    from tfrecord.writer import TFRecordWriter

    for path, rows in halves(folder, "tfrecord"):
        writer = TFRecordWriter(path)
        for row in rows:
            fields = {name: (body, "byte") for name, body in row.fields.items()}
            writer.write({"__key__": (row.key.encode(), "byte"), "__label__": (row.label, "int"), **fields})
        writer.close()


def read_tfrecord(shards):
    from tfrecord.example_pb2 import Example
    from tfrecord.reader import tfrecord_iterator

    for shard in shards:
        for payload in tfrecord_iterator(shard):
            yield example(Example.FromString(bytes(payload)))


def example(message):
    """A row from a `tf.train.Example` with features of an image pipeline, or with one a field."""
    found = {}
    for name, value in message.features.feature.items():
        [found[name]] = getattr(value, value.WhichOneof("kind")).value
    if "image/encoded" in found:
        key, _, name = found.pop("image/filename").decode().rpartition(".")
        kind = found.pop("image/format")
        assert kind == {"jpg": b"jpeg", "png": b"png"}[name], (key, kind)
        return Row(key, float(found.pop("image/class/label")), {name: found.pop("image/encoded"), **found})
    return Row(found.pop("__key__").decode(), float(found.pop("__label__")), found)


def write_mxnet(folder):
    recordio, number = mxnet_recordio(), 1000
    for path, rows in halves(folder, "rec"):
        writer = recordio.MXIndexedRecordIO(path.replace(".rec", ".idx"), path, "w")
        for row in rows:
            _, body = picture(row)
            writer.write_idx(number, recordio.pack(recordio.IRHeader(0, float(row.label), number, 0), body))
            number += 1
        writer.close()


def read_mxnet(shards):
    recordio = mxnet_recordio()
    for shard in shards:
        reader = recordio.MXRecordIO(shard, "r")
        while (record := reader.read()) is not None:
            header, body = recordio.unpack(record)
            yield Row(str(header.id), float(header.label), {"": body})
        reader.close()


def mxnet_recordio():
    import numpy

    numpy.bool = bool  # mxnet 1.9.1 names the alias that numpy 1.24 dropped; 1.23 only warns
    from mxnet import recordio

    return recordio


def read_sagemaker(shards):
    from sagemaker_sdk import common

    for shard in shards:
        with open(shard, "rb") as file:
            for record in common.read_records(file):
                fields = {}
                for name, value in record.features.items():
                    [fields[name]] = value.bytes.value
                [label] = record.label["values"].float32_tensor.values
                yield Row(record.uid, float(label), fields)


if __name__ == "__main__":
    action, tool, *places = sys.argv[1:]
    function = globals()[f"{action}_{tool}"]
    if action == "write":
        function(*places)
    else:
        for found in function(places):
            print(found.line())
