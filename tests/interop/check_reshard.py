"""Shards that one tool wrote, resharded into another's format, in that tool's reader: the light
tools. The heavy ones are in check_ecosystems.py."""

import tools
from harness import check, main
from journeys import as_found, compare, journey, reshard

ONE_FIELD = ("--fields", "jpg,png")


@check
def from_webdataset_to_tfrecord():
    journey("webdataset", "tfrecord", ["tfrecord"])


@check
def from_webdataset_to_webdataset():
    journey("webdataset", "webdataset", ["webdataset", "tarfile"])


@check
def from_tfrecord_to_webdataset():
    journey("tfrecord", "webdataset", ["webdataset", "tarfile"])


@check
def from_tfrecord_to_compressed_tars():
    journey("tfrecord", "webdataset", ["webdataset", "tarfile"], "--compress", "gzip")


@check
def around_through_every_format():
    # Captions end at RecordIO, which holds one field; keys and names are in our index from then on.
    dataset = journey("webdataset", "tfrecord", ["tfrecord"])
    dataset = reshard(dataset.root, "recordio-protobuf")
    dataset = reshard(dataset.root, "recordio", *ONE_FIELD)
    dataset = reshard(dataset.root, "webdataset")
    rows = as_found("webdataset")
    want = [tools.Row(row.key, row.label, dict([tools.picture(row)])) for row in rows]
    compare(dataset, "webdataset", want)
    compare(reshard(dataset.root, "tfrecord", "--schema", "image"), "tfrecord", want)


main(__name__)
