"""TensorFlow on our TFRecords: TFRecordDataset verifies both checksums, parse_single_example the
features, decode_image the pictures."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf

import trees
from harness import TREE, Dataset, check, classes, equal, main, samples

COMPRESSION = {"none": "", "gzip": "GZIP", "zlib": "ZLIB"}


def records(dataset, compression="none"):
    reader = tf.data.TFRecordDataset([str(s) for s in dataset.shards], COMPRESSION[compression])
    return [record.numpy() for record in reader]


def parse(payload, features):
    return {k: v.numpy() for k, v in tf.io.parse_single_example(payload, features).items()}


def bytes_or(default):
    return tf.io.FixedLenFeature([], tf.string, default)


def compare_fields(source, compression):
    options = [] if compression == "none" else ["--compress", compression]
    dataset = Dataset(source, "tfrecord", "--target", "1MB", *options)
    want = samples(source)
    names = {name for fields in want.values() for name in fields}
    features = {"__key__": tf.io.FixedLenFeature([], tf.string), **{n: bytes_or(b"(absent)") for n in names}}
    found, count = {}, 0
    for payload in records(dataset, compression):
        row = parse(payload, features)
        key = row.pop("__key__").decode()
        found[key] = {n: v for n, v in row.items() if v != b"(absent)"}
        count += 1
    equal(found, want, "samples")
    equal(count, len(want), "number of records")


@check
def fields_schema_plain():
    compare_fields(TREE, "none")
    compare_fields(trees.mixed(), "none")


@check
def fields_schema_gzip():
    compare_fields(trees.mixed(), "gzip")


@check
def fields_schema_zlib():
    compare_fields(trees.mixed(), "zlib")


@check
def payloads_are_the_deterministic_serialisation():
    for options in ([], ["--labels", "folder"], ["--schema", "image", "--labels", "folder", "--fields", "jpg,png"]):
        for payload in records(Dataset(TREE, "tfrecord", *options)):
            message = tf.train.Example.FromString(payload)
            equal(payload, message.SerializeToString(deterministic=True), f"payload with {options}")


@check
def image_schema_feeds_an_image_pipeline():
    dataset = Dataset(TREE, "tfrecord", "--schema", "image", "--labels", "folder", "--fields", "jpg,png")
    features = {
        "image/encoded": tf.io.FixedLenFeature([], tf.string),
        "image/format": tf.io.FixedLenFeature([], tf.string),
        "image/filename": tf.io.FixedLenFeature([], tf.string),
        "image/class/label": tf.io.FixedLenFeature([], tf.int64),
        "image/class/text": tf.io.FixedLenFeature([], tf.string),
    }
    want = samples(TREE, {"jpg", "png"})
    by_body = {body: key for key, fields in want.items() for body in fields.values()}
    seen = set()
    for payload in records(dataset):
        row = parse(payload, features)
        key = by_body[row["image/encoded"]]
        seen.add(key)
        folder = key.partition("/")[0]
        field = "png" if "png" in want[key] else "jpg"
        equal(row["image/format"], {"png": b"png", "jpg": b"jpeg"}[field], f"format of {key}")
        equal(row["image/filename"].decode(), f"{key}.{field}", "file name")
        equal((row["image/class/label"], row["image/class/text"].decode()), (classes(TREE)[folder], folder), f"class of {key}")
        equal(tf.io.decode_image(row["image/encoded"]).shape, (96, 96, 3), f"picture {key}")
    equal(seen, set(want), "samples")


@check
def raw_schema_is_the_bytes():
    dataset = Dataset(trees.magic(), "tfrecord", "--schema", "raw", "--target", "1MB")
    want = sorted(body for fields in samples(trees.magic()).values() for body in fields.values())
    equal(sorted(records(dataset)), want, "payloads")


@check
def folder_labels_ride_along():
    dataset = Dataset(TREE, "tfrecord", "--labels", "folder")
    ids = classes(TREE)
    features = {
        "__key__": tf.io.FixedLenFeature([], tf.string),
        "__label__": tf.io.FixedLenFeature([], tf.int64),
    }
    rows = [parse(payload, features) for payload in records(dataset)]
    found = {row["__key__"].decode(): int(row["__label__"]) for row in rows}
    equal(found, {key: ids[key.partition("/")[0]] for key in samples(TREE)}, "labels")


main(__name__)
