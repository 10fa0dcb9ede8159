"""webdataset and wids on our shards."""

import contextlib
import io
import os
import sys
import types
import typing

import webdataset

import trees
from harness import TREE, Dataset, check, classes, equal, main, samples, scratch

T = typing.TypeVar("T")


class TorchDataset(typing.Generic[T]):
    """Stands in for torch.utils.data.Dataset."""


def read(shards):
    """{key: {field: bytes}} as the library groups them, and how many samples it saw."""
    found, count = {}, 0
    for sample in webdataset.WebDataset([str(s) for s in shards], shardshuffle=False, empty_check=False):
        count += 1
        found[sample["__key__"]] = {k: v for k, v in sample.items() if not k.startswith("__")}
    return found, count


def compare(source, *options):
    dataset = Dataset(source, "webdataset", "--target", "1MB", *options)
    found, count = read(dataset.shards)
    want = samples(source)
    equal(found, want, "samples")
    equal(count, len(want), "number of samples")
    return dataset


@check
def reads_the_small_tree():
    compare(TREE)


@check
def reads_the_mixed_tree():
    compare(trees.mixed())


@check
def reads_gzip_shards():
    compare(trees.mixed(), "--compress", "gzip")


@check
def reads_every_order():
    for order in ("key", "source", "shuffle:7"):
        compare(TREE, "--order", order)


@check
def splits_are_disjoint_and_whole():
    dataset = Dataset(trees.mixed(), "webdataset", "--split", "train=0.8,val=0.2")
    parts = {}
    for shard in dataset.shards:
        parts.setdefault(shard.parent.name, {}).update(read([shard])[0])
    equal(sorted(parts), ["train", "val"], "splits")
    assert not parts["train"].keys() & parts["val"].keys(), "a sample in both splits"
    equal(parts["train"] | parts["val"], samples(trees.mixed()), "samples of both")


@check
def folder_labels_become_cls():
    dataset = Dataset(TREE, "webdataset", "--labels", "folder")
    ids = classes(TREE)
    for sample in webdataset.WebDataset([str(s) for s in dataset.shards], shardshuffle=False).decode():
        equal(sample["cls"], ids[sample["__key__"].partition("/")[0]], sample["__key__"])


@check
def decodes_a_sample():
    dataset = Dataset(TREE, "webdataset")
    pipeline = webdataset.WebDataset([str(s) for s in dataset.shards], shardshuffle=False).decode("rgb8")
    for sample in pipeline:
        picture = sample.get("jpg", sample.get("png"))
        equal(picture.shape, (96, 96, 3), sample["__key__"])


def import_wids():
    """wids imports torch for two base classes and its distributed samplers; reading needs neither."""
    modules = {name: types.ModuleType(name) for name in ("torch", "torch.distributed", "torch.utils", "torch.utils.data")}
    modules["torch"].distributed = modules["torch.distributed"]
    modules["torch.utils.data"].Dataset, modules["torch.utils.data"].Sampler = TorchDataset, object
    sys.modules.update(modules)
    os.environ["WIDS_CACHE"] = str(scratch("wids-cache"))
    import wids

    return wids


@check
def wids_reads_by_number():
    wids = import_wids()
    dataset = Dataset(TREE, "webdataset", "--target", "64KB", "--index", "wids")
    index = dataset.index("shardindex.json")
    with contextlib.redirect_stderr(io.StringIO()):  # it talks while it opens
        reader = wids.ShardListDataset(str(index), transformations=[], keep=True)
    want = samples(TREE)
    equal(len(reader), len(want), "number of samples")
    found = {}
    for i in range(len(reader)):
        sample = reader[i]
        fields = {k[1:]: v if isinstance(v, bytes) else v.read() for k, v in sample.items() if k.startswith(".")}
        found[sample["__key__"]] = fields
    equal(found, want, "samples")


main(__name__)
