"""mxnet on our RecordIO: its readers see our samples, and its writer gives our bytes."""

import numpy

numpy.bool = bool  # mxnet 1.9.1 names the alias that numpy 1.24 dropped; 1.23 only warns

import mxnet
from mxnet import recordio

import trees
from harness import TREE, Dataset, check, classes, equal, main, samples, scratch


def bodies(tree, fields=None):
    """{payload: key}; the payloads of our trees differ from one another."""
    return {body: key for key, found in samples(tree, fields).items() for body in found.values()}


def packed(shard, index):
    """Every record of a shard through its index: [(idx key, header, payload)]."""
    reader = recordio.MXIndexedRecordIO(str(index), str(shard), "r")
    found = [(key, *recordio.unpack(reader.read_idx(key))) for key in reader.keys]
    reader.close()
    return found


def compare(tree, *options, fields=None):
    dataset = Dataset(tree, "recordio", "--target", "1MB", "--index", "mxnet", *options)
    found = [record for pair in zip(dataset.shards, dataset.indexes(".idx")) for record in packed(*pair)]
    want = bodies(tree, fields)
    equal({want[payload] for _, _, payload in found}, set(want.values()), "samples")
    equal(len(found), len(want), "number of records")
    return dataset, [(want[payload], key, header) for key, header, payload in found]


def rewrite(shard):
    """The same records through mxnet's own reader and writer."""
    copy = scratch("rewrite") / "copy.rec"
    reader, writer = recordio.MXRecordIO(str(shard), "r"), recordio.MXRecordIO(str(copy), "w")
    while (record := reader.read()) is not None:
        header, payload = recordio.unpack(record)
        if header.flag > 0:
            header = header._replace(label=list(header.label))
        writer.write(recordio.pack(header, payload))
    reader.close()
    writer.close()
    return copy.read_bytes()


@check
def reads_the_small_tree_by_index():
    compare(TREE, "--fields", "jpg,png", fields={"jpg", "png"})


@check
def reads_payloads_full_of_the_magic():
    compare(trees.magic())


@check
def its_writer_gives_our_bytes():
    for tree, options in [
        (TREE, ["--fields", "jpg,png"]),
        (TREE, ["--fields", "jpg,png", "--labels", "folder"]),
        (trees.magic(), ["--labels", "folder"]),
    ]:
        for shard in Dataset(tree, "recordio", "--target", "1MB", *options).shards:
            equal(shard.read_bytes(), rewrite(shard), f"{shard.name} with {options}")


@check
def folder_labels_and_ids():
    _, records = compare(TREE, "--fields", "jpg,png", "--labels", "folder", fields={"jpg", "png"})
    ids = classes(TREE)
    for key, number, header in records:
        equal((header.flag, header.label, header.id), (0, ids[key.partition("/")[0]], number), key)
    equal(len({header.id for _, _, header in records}), len(records), "distinct ids")


@check
def lst_labels_and_ids():
    names = sorted(samples(TREE, {"jpg", "png"}).items())
    rows = [(1000 + i, [i / 4, -i, i * i], f"{key}.{next(iter(f))}") for i, (key, f) in enumerate(names)]
    lst = scratch("lst") / "train.lst"
    lst.write_text("".join(f"{i}\t" + "\t".join(map(str, labels)) + f"\t{path}\n" for i, labels, path in rows))
    _, records = compare(TREE, "--fields", "jpg,png", "--labels", f"lst:{lst}", fields={"jpg", "png"})
    want = {path.split(".")[0]: (3, labels, i) for i, labels, path in rows}
    found = {key: (header.flag, list(header.label), header.id) for key, _, header in records}
    equal(found, want, "flag, labels, id")


@check
def one_index_over_all_shards():
    # The C++ readers take several .rec as one file, with offsets into their concatenation.
    dataset = Dataset(trees.magic(), "recordio", "--target", "1MB", "--index", "mxnet")
    assert len(dataset.shards) > 1, "one shard proves nothing here"
    joined = scratch("joined") / "joined.rec"
    joined.write_bytes(b"".join(shard.read_bytes() for shard in dataset.shards))
    found = packed(joined, dataset.index("all.idx"))
    want = bodies(trees.magic())
    equal({want[payload]: header.id for _, header, payload in found}, {want[p]: key for key, _, p in found}, "ids")
    equal(len(found), len(want), "number of records")


@check
def lists_name_the_files_and_their_labels():
    dataset, records = compare(TREE, "--fields", "jpg,png", "--labels", "folder", fields={"jpg", "png"})
    lines = [line for lst in dataset.indexes(".lst") for line in lst.read_text().splitlines()]
    files = {key: f"{key}.{next(iter(found))}" for key, found in samples(TREE, {"jpg", "png"}).items()}
    # As im2rec.py reads them: id, labels, path, with tabs between.
    found = {path: (int(id), float(label)) for id, label, path in (line.split("\t") for line in lines)}
    equal(found, {files[key]: (header.id, header.label) for key, _, header in records}, "lists")


@check
def image_iterator_decodes_every_picture():
    # The C++ reader: it partitions by searching for the magic, and decodes with OpenCV.
    dataset = Dataset(TREE, "recordio", "--fields", "jpg,png", "--labels", "folder", "--index", "mxnet")
    [shard], [index] = dataset.shards, dataset.indexes(".idx")
    want = sorted(classes(TREE)[key.partition("/")[0]] for key in samples(TREE))
    found = []
    for part in range(3):
        iterator = mxnet.io.ImageRecordIter(
            path_imgrec=str(shard), path_imgidx=str(index), data_shape=(3, 96, 96), batch_size=1, label_width=1,
            num_parts=3, part_index=part, preprocess_threads=1, round_batch=False,
        )
        found += [int(batch.label[0].asnumpy()[0]) for batch in iterator]
    equal(sorted(found), want, "labels over three parts")


main(__name__)
