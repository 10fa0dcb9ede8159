"""DALI's CPU readers with the indexes we write for it; no GPU is needed."""

import numpy
from nvidia.dali import fn, pipeline_def
from nvidia.dali import tfrecord as feature

import trees
from harness import TREE, Dataset, check, classes, equal, main, samples

PICTURES = {"jpg", "png"}


def run(reader, count):
    """`count` samples, one at a time: [(output, …)] as bytes."""

    @pipeline_def(batch_size=1, num_threads=1, device_id=None)
    def pipeline():
        outputs = reader()
        return tuple(outputs.values()) if isinstance(outputs, dict) else tuple(outputs)

    pipe = pipeline()
    pipe.build()
    rows = [tuple(numpy.array(output.at(0)) for output in pipe.run()) for _ in range(count)]
    return rows, pipe.reader_meta()


def read_webdataset(dataset, fields, count):
    shards, indexes = dataset.shards, dataset.indexes(".idx")
    reader = lambda: fn.readers.webdataset(
        name="r", paths=[str(s) for s in shards], index_paths=[str(i) for i in indexes], ext=fields,
        missing_component_behavior="empty", case_sensitive_extensions=True,
    )
    rows, meta = run(reader, count)
    equal(next(iter(meta.values()))["epoch_size"], count, "epoch size")
    return sorted(tuple(part.tobytes() for part in row) for row in rows)


@check
def webdataset_by_our_index():
    for tree in (TREE, trees.mixed()):
        want = samples(tree)
        fields = sorted({name for found in want.values() for name in found})
        dataset = Dataset(tree, "webdataset", "--target", "1MB", "--index", "dali")
        rows = sorted(tuple(found.get(name, b"") for name in fields) for found in want.values())
        equal(read_webdataset(dataset, fields, len(want)), rows, f"samples of {tree.name}")


@check
def tfrecord_by_our_index():
    for options in ([], ["--labels", "folder"]):
        dataset = Dataset(TREE, "tfrecord", "--schema", "image", "--fields", "jpg,png", "--target", "64KB", "--index", "dali", *options)
        want = {body: key for key, found in samples(TREE, PICTURES).items() for body in found.values()}
        features = {"image/encoded": feature.FixedLenFeature((), feature.string, "")}
        if options:
            features["image/class/label"] = feature.FixedLenFeature([1], feature.int64, -1)
        reader = lambda: fn.readers.tfrecord(
            name="r", path=[str(s) for s in dataset.shards], index_path=[str(i) for i in dataset.indexes(".idx")], features=features,
        )
        rows, meta = run(reader, len(want))
        equal(next(iter(meta.values()))["epoch_size"], len(want), "epoch size")
        found = {row[0].tobytes(): [int(v[0]) for v in row[1:]] for row in rows}
        ids = classes(TREE)
        equal(found, {b: [ids[k.partition("/")[0]]] if options else [] for b, k in want.items()}, "pictures and labels")


@check
def recordio_by_one_index_over_all_shards():
    dataset = Dataset(TREE, "recordio", "--fields", "jpg,png", "--labels", "folder", "--target", "32KB", "--index", "dali")
    assert len(dataset.shards) > 1, "one shard proves nothing here"
    want = {body: key for key, found in samples(TREE, PICTURES).items() for body in found.values()}
    index = dataset.index("*.idx")
    reader = lambda: fn.readers.mxnet(name="r", path=[str(s) for s in dataset.shards], index_path=[str(index)])
    rows, meta = run(reader, len(want))
    equal(next(iter(meta.values()))["epoch_size"], len(want), "epoch size")
    found = {image.tobytes(): int(label[0]) for image, label in rows}
    equal(found, {body: classes(TREE)[key.partition("/")[0]] for body, key in want.items()}, "pictures and labels")


@check
def recordio_payloads_full_of_the_magic():
    dataset = Dataset(trees.magic(), "recordio", "--target", "1MB", "--index", "dali")
    want = {body for found in samples(trees.magic()).values() for body in found.values()}
    index = dataset.index("*.idx")
    reader = lambda: fn.readers.mxnet(name="r", path=[str(s) for s in dataset.shards], index_path=[str(index)])
    rows, _ = run(reader, len(want))
    equal({image.tobytes() for image, _ in rows}, want, "payloads")


main(__name__)
