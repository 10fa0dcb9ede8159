"""From one tool's shards to another tool's reader, by way of `shardpack reshard`."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import tools
from harness import Dataset, equal, scratch

# What a reader needs to be told of shards that nobody indexed: where their labels are.
SOURCES = {
    "webdataset": ("--label-fields",),
    "tensorflow": ("--from-schema", "image"),
    "tfrecord": (),
    "mxnet": (),
}


def python(tool):
    """The Python that has a tool: this one, or that of its environment."""
    named = Path(os.environ.get("INTEROP_VENVS", "."), tool, "bin", "python")
    return sys.executable if tool in ("webdataset", "tarfile", "tfrecord") else str(named)


def run(tool, action, *places):
    command = [python(tool), tools.__file__, action, tool, *map(str, places)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return done.stdout


@cache
def shards(tool):
    folder = scratch(tool)
    run(tool, "write", folder)
    return folder


def compare(dataset, reader, want):
    rows = [tools.Row.parse(line) for line in run(reader, "read", *dataset.shards).splitlines()]
    equal([row.key for row in rows], [row.key for row in want], f"keys in {reader}")
    for found, wanted in zip(rows, want):
        equal(vars(found), vars(wanted), f"{wanted.key} in {reader}")


def as_found(tool):
    """The samples as a tool's shards have them."""
    rows = tools.written()
    if tool == "mxnet":  # no keys, no names, one field
        half = len(rows) // 2
        places = [f"a/{i}" for i in range(half)] + [f"b/{i}" for i in range(len(rows) - half)]
        rows = [tools.Row(key, row.label, dict([tools.picture(row)])) for key, row in zip(places, rows)]
    return rows


def as_records(rows, first):
    """The same in RecordIO, where a number stands for the key, and nothing for names."""
    return [tools.Row(str(first + i), row.label, {"": tools.picture(row)[1]}) for i, row in enumerate(rows)]


def reshard(source, format, *options):
    return Dataset(source, format, "--order", "source", "--target", "64KB", *options, command="reshard")


def journey(writer, format, readers, *options):
    """One tool's shards become `format`; every reader finds the samples, in their order."""
    dataset = reshard(shards(writer), format, *SOURCES[writer], *options)
    assert len(dataset.shards) > 1, "one shard proves little"
    want = as_found(writer)
    if format == "recordio":
        want = as_records(want, 1000 if writer == "mxnet" else 0)
    for reader in readers:
        compare(dataset, reader, want)
    return dataset
