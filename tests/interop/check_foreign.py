"""The other way round: shardpack on shards that the original tools wrote, against what those tools
say is in them (`testdata/*/golden/*.tsv`), and on its own, back to the source tree."""

import subprocess
from pathlib import Path

import trees
from harness import ROOT, TREE, Dataset, binary, check, equal, main, scratch

DATA = ROOT / "testdata"


def shardpack(*arguments):
    command = [binary(), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def succeed(*arguments):
    run = shardpack(*arguments)
    assert run.returncode == 0, f"{' '.join(run.args)}\nexit {run.returncode}\n{run.stdout}{run.stderr}"


def cat(shard, name, *options):
    return subprocess.run([binary(), "cat", shard, name, *options], check=True, stdout=subprocess.PIPE).stdout


def contents(folder):
    files = (p for p in Path(folder).rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def unpacked(shard, *options):
    out = scratch("unpacked") / "out"
    succeed("unpack", shard, out, *options)
    return contents(out)


def listing(table):
    """{file: [row]} of a golden table, in order."""
    rows = {}
    for line in (DATA / table).read_text().splitlines()[1:]:
        file, *row = line.split("\t")
        rows.setdefault(file, []).append(row)
    return rows


@check
def tar_members_of_gnu_tar_and_tarfile():
    for tool in ("gnu-tar", "tarfile"):
        for file, rows in listing(f"tar/golden/{tool}.tsv").items():
            if "sparse" in file:
                continue
            want = {row[0].removeprefix("./"): bytes.fromhex(row[2]) for row in rows if row[1] == "file"}
            equal(unpacked(DATA / "tar/golden" / file, "--format", "webdataset"), want, file)


@check
def sparse_members_are_refused():
    for flavour in ("gnu", "pax"):
        run = shardpack("verify", DATA / f"tar/golden/gnu-{flavour}-sparse.tar", "--format", "webdataset")
        assert run.returncode in (1, 2) and "sparse" in run.stdout + run.stderr, f"{flavour}: {run}"


@check
def webdataset_samples_of_tarwriter():
    for file, rows in listing("webdataset/golden/tarwriter.tsv").items():
        want = {f"{key}.{field}": bytes.fromhex(body) for key, field, body in rows}
        equal(unpacked(DATA / "webdataset/golden" / file), want, file)


@check
def tfrecord_features_of_tensorflow():
    for file, rows in listing("tfrecord/golden/tensorflow.tsv").items():
        if not file.startswith("example"):
            continue
        for record, feature, kind, values in rows:
            name = f"{file.split('.')[0]}/{record}.{feature}"
            values = values.split(",")
            if kind == "bytes":
                names = [name] if len(values) == 1 else [f"{name}.{i}" for i in range(len(values))]
                want = {name: bytes.fromhex(value) for name, value in zip(names, values)}
            else:
                want = {name: " ".join(values).encode()}
            shard = DATA / "tfrecord/golden" / file
            equal({name: cat(shard, name, "--schema", "fields") for name in want}, want, file)


@check
def recordio_payloads_of_mxnet():
    for file, rows in listing("recordio/golden/mxnet.tsv").items():
        got = unpacked(DATA / "recordio/golden" / file, "--format", "recordio")
        equal(sorted(got.values()), sorted(bytes.fromhex(row[-1]) for row in rows), file)


@check
def every_shard_of_another_tool_is_whole():
    kinds = {
        "webdataset": ["webdataset/sample.tgz", *DATA.glob("webdataset/golden/*.tar*")],
        "tfrecord": ["tfrecord/example.tfrecord", *DATA.glob("tfrecord/golden/example.*")],
        "recordio": ["recordio/sample.rec", *DATA.glob("recordio/golden/*.rec")],
        "recordio-protobuf": ["recordio-protobuf/matrix_0.pbr", *DATA.glob("recordio-protobuf/golden/*.pbr")],
    }
    for format, shards in kinds.items():
        for shard in shards:
            succeed("verify", DATA / shard, "--format", format)


@check
def a_cut_shard_is_not_whole():
    for name in ("webdataset/golden/tarwriter.tar", "tfrecord/golden/example.tfrecord", "recordio/golden/images.rec"):
        data = (DATA / name).read_bytes()
        cut = scratch(f"cut-{Path(name).name}") / Path(name).name
        cut.write_bytes(data[: len(data) * 2 // 3 + 1])
        run = shardpack("verify", cut)
        equal(run.returncode, 1, f"exit of verify on a cut {name}\n{run.stdout}{run.stderr}")


@check
def our_own_shards_give_the_tree_back():
    for format, options in [
        ("webdataset", []),
        ("webdataset", ["--compress", "zstd"]),
        ("tfrecord", ["--compress", "zlib"]),
        ("recordio-protobuf", []),
    ]:
        dataset = Dataset(trees.mixed(), format, "--target", "1MB", *options)
        succeed("verify", dataset.root, "--against", trees.mixed())
        equal(unpacked(dataset.root), contents(trees.mixed()), f"{format} {options}")
    dataset = Dataset(TREE, "recordio", "--fields", "jpg,png")
    want = {name: body for name, body in contents(TREE).items() if name.endswith(("jpg", "png"))}
    equal(unpacked(dataset.root), want, "recordio, names from our index")


main(__name__)
