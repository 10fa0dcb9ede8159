"""Python's tarfile and GNU tar on our WebDataset shards: what any tar tool sees."""

import gzip
import subprocess
import tarfile

import zstandard

import trees
from harness import TREE, Dataset, check, equal, main, samples, scratch


def files(tree):
    return {f"{key}.{field}": body for key, fields in samples(tree).items() for field, body in fields.items()}


def members(shard):
    with tarfile.open(shard, "r:*") as archive:
        return [(member, archive.extractfile(member).read()) for member in archive]


def compare(source, *options):
    dataset = Dataset(source, "webdataset", "--target", "1MB", *options)
    found = [pair for shard in dataset.shards for pair in members(shard)]
    equal({m.name: body for m, body in found}, files(source), "members")
    equal(len(found), len(files(source)), "number of members")
    return dataset, found


@check
def tarfile_reads_the_small_tree():
    compare(TREE)


@check
def tarfile_reads_the_mixed_tree_over_several_shards():
    dataset, _ = compare(trees.mixed())
    assert len(dataset.shards) > 3, dataset.shards


@check
def headers_are_plain_and_say_nothing_of_the_machine():
    _, found = compare(trees.mixed())
    facts = {(m.mtime, m.uid, m.gid, m.mode, m.type, tuple(m.pax_headers)) for m, _ in found}
    equal(len(facts), 1, f"distinct metadata {facts}")
    equal({m.mtime for m, _ in found}, {0}, "mtime")
    # A member at its header, 512 bytes, then its data: no extended header stands between.
    equal({m.offset_data - m.offset for m, _ in found}, {512}, "header length")


@check
def fields_of_a_sample_stand_together_and_sorted():
    dataset, _ = compare(trees.mixed())
    for shard in dataset.shards:
        names = [m.name for m, _ in members(shard)]
        keys = list(dict.fromkeys(n.rpartition("/")[0] + "/" + n.rpartition("/")[2].split(".")[0] for n in names))
        want = [n for key in keys for n in sorted(names) if ("/" + n).startswith(("/" + key.lstrip("/") + "."))]
        equal(names, want, shard.name)


@check
def shards_end_in_two_zero_blocks():
    dataset, _ = compare(trees.mixed())
    for shard in dataset.shards:
        data = shard.read_bytes()
        equal(len(data) % 512, 0, "length modulo block")
        last = max(m.offset_data + -(-m.size // 512) * 512 for m, _ in members(shard))
        assert len(data) - last >= 1024 and not any(data[last:]), f"{shard.name}: end of archive"


@check
def gnu_tar_extracts_the_source_tree():
    for source in (TREE, trees.mixed()):
        dataset = Dataset(source, "webdataset", "--target", "1MB")
        out = scratch(f"extracted-{source.name}")
        for shard in dataset.shards:
            run = subprocess.run(["tar", "-xf", shard, "-C", out], capture_output=True, text=True)
            equal((run.returncode, run.stderr), (0, ""), shard.name)
        equal(files(out), files(source), "extracted files")


@check
def gzip_shards_are_ordinary_gzip():
    dataset, _ = compare(trees.mixed(), "--compress", "gzip")
    for shard in dataset.shards:
        data = shard.read_bytes()
        equal(data[4:8], bytes(4), "mtime in the gzip header")
        equal(len(gzip.decompress(data)) % 512, 0, "length of the tar inside")


@check
def zstd_shards_hold_the_same_tar():
    plain = Dataset(TREE, "webdataset", "--target", "64KB")
    zstd = Dataset(TREE, "webdataset", "--target", "64KB", "--compress", "zstd")
    inner = [zstandard.ZstdDecompressor().stream_reader(s.open("rb")).read() for s in zstd.shards]
    equal(inner, [s.read_bytes() for s in plain.shards], "tars inside")


main(__name__)
