"""The SageMaker SDK's reader on our recordio-protobuf."""

import trees
from harness import MAGIC, TREE, Dataset, check, classes, equal, main, samples
from sagemaker_sdk import common


def records(dataset):
    found = []
    for shard in dataset.shards:
        with shard.open("rb") as file:
            found += common.read_records(file)
    return found


def fields(record):
    """{field: bytes} of the bytes features; the SDK's message has one list a feature."""
    found = {}
    for name, value in record.features.items():
        equal(value.WhichOneof("value"), "bytes", f"kind of {name}")
        [found[name]] = value.bytes.value
    return found


def compare(tree, *options):
    dataset = Dataset(tree, "recordio-protobuf", "--target", "1MB", *options)
    found = records(dataset)
    want = samples(tree)
    equal({record.uid: fields(record) for record in found}, want, "samples")
    equal(len(found), len(want), "number of records")
    return dataset, found


@check
def reads_the_small_tree():
    compare(TREE)


@check
def reads_the_mixed_tree_over_several_shards():
    dataset, _ = compare(trees.mixed())
    assert len(dataset.shards) > 1, "one shard proves little"


@check
def the_magic_is_never_split():
    # This reader ignores split flags and would run two records together.
    dataset, _ = compare(trees.magic())
    want = sum(body.count(MAGIC) for found in samples(trees.magic()).values() for body in found.values())
    marks = sum(shard.read_bytes().count(MAGIC) for shard in dataset.shards)
    equal(marks, want + len(samples(trees.magic())), "marks: one a record and those in the payloads")


@check
def payloads_are_the_deterministic_serialisation():
    for shard in Dataset(TREE, "recordio-protobuf", "--labels", "folder").shards:
        with shard.open("rb") as file:
            for payload in common.read_recordio(file):
                message = common.Record.FromString(payload)
                equal(payload, message.SerializeToString(deterministic=True), message.uid)


@check
def folder_labels():
    _, found = compare(TREE, "--labels", "folder")
    ids = classes(TREE)
    for record in found:
        value = record.label["values"]
        equal(list(value.float32_tensor.values), [ids[record.uid.partition("/")[0]]], f"label of {record.uid}")


main(__name__)
