"""Writes the goldens under testdata/*/golden with the original tools.

    scripts/interop.sh --goldens                  # every tool, each in its own environment
    python scripts/make_goldens.py mxnet [OUT]    # one tool, with this Python

Tools: tar (GNU tar), tarfile, webdataset, tensorflow, mxnet, sagemaker. Beside the shards stands
`<tool>.tsv`, which says in text what a reader must find in them; values of bytes are in hex.
The goldens are committed; run this only to add one, and look at what changed: nothing else but
tarwriter.tar.gz (a time) and gnu-pax-sparse.tar (a process id), which the tools put there.
"""

import io
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "interop"))

MAGIC = struct.pack("<I", 0xCED7230A)  # RecordIO's mark between records
LONG = "d" * 60 + "/" + "long-" + "n" * 90  # 156 bytes: too long for a tar header's name field
SAMPLES = [
    ("a", {"cls": b"0", "jpg": b"first picture"}),
    ("d.v1/b", {"jpg": b"x" * 512, "seg.png": b"y" * 513}),
    ("d.v1/c", {"jpg": b""}),
    ("été", {"json": b'{"n": 1}', "txt": "波".encode()}),
]


class Goldens:
    """A golden folder, and the table that says what is in it."""

    def __init__(self, out, format, tool, columns):
        self.folder = out / format / "golden"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.table = self.folder / f"{tool}.tsv"
        self.lines = ["# " + "\t".join(columns)]

    def path(self, name):
        path = self.folder / name
        path.unlink(missing_ok=True)
        return path

    def row(self, *cells):
        self.lines.append("\t".join(c.hex() if isinstance(c, bytes) else str(c) for c in cells))

    def finish(self):
        self.table.write_text("\n".join(self.lines) + "\n")
        print(f"{self.folder.relative_to(self.folder.parents[1])}: {self.table.name}")


def gnu_tar(out):
    """Every flavour GNU tar writes, with names that need its extensions, links and holes."""
    goldens = Goldens(out, "tar", "gnu-tar", ("file", "member", "type", "body or target"))
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        for key, fields in SAMPLES + [(LONG, {"jpg": b"long name"})]:
            for field, body in fields.items():
                (scratch / key).parent.mkdir(parents=True, exist_ok=True)
                (scratch / f"{key}.{field}").write_bytes(body)
        (scratch / "link.jpg").symlink_to("a.jpg")
        (scratch / "z-hard.jpg").hardlink_to(scratch / "a.jpg")
        (scratch / "long.link").symlink_to("t" * 120)
        for flavour in ("v7", "ustar", "gnu", "pax"):
            name = f"gnu-{flavour}.tar"
            # v7 and ustar cannot hold a link target of 120 bytes, v7 no name of 156 either.
            skip = {"v7": ["--exclude=long.link", "--exclude=d" + "d" * 59], "ustar": ["--exclude=long.link"]}
            command = ["tar", f"--format={flavour}", "--sort=name", "--mtime=@0", "--owner=0", "--group=0",
                       "--numeric-owner", "--mode=0644", *skip.get(flavour, []), "-cf", goldens.path(name), "-C", scratch, "."]
            if flavour == "pax":
                command.insert(2, "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime")
            subprocess.run(command, check=True)
            list_tar(goldens, name)
        sparse = scratch / "sparse.jpg"
        with sparse.open("wb") as file:
            file.seek(1 << 20)
            file.write(b"after the hole")
        for flavour in ("gnu", "pax"):
            name = f"gnu-{flavour}-sparse.tar"
            subprocess.run(["tar", f"--format={flavour}", "--sparse", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner",
                            "-cf", goldens.path(name), "-C", scratch, "sparse.jpg"], check=True)
            goldens.row(name, "sparse.jpg", "sparse", "1048590 bytes, a hole of 1048576 first")
    goldens.finish()


def list_tar(goldens, name):
    import tarfile

    kinds = {tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "hardlink"}
    with tarfile.open(goldens.folder / name) as archive:
        for member in archive:
            body = archive.extractfile(member).read() if member.isreg() else member.linkname
            goldens.row(name, member.name, kinds.get(member.type, "file"), body)


def python_tarfile(out):
    """What GNU tar would only write with root's help or 8 GiB: base-256 numbers, AREGTYPE, globals."""
    import tarfile

    goldens = Goldens(out, "tar", "tarfile", ("file", "member", "type", "body"))

    def write(name, format, change=lambda info: None, **options):
        with tarfile.open(goldens.path(name), "w", format=format, **options) as archive:
            for key, fields in SAMPLES:
                for field, body in sorted(fields.items()):
                    info = tarfile.TarInfo(f"{key}.{field}")
                    info.size = len(body)
                    change(info)
                    archive.addfile(info, io.BytesIO(body))
        list_tar(goldens, name)

    def base256(info):
        info.uid = info.gid = 1 << 40  # more than 7 octal digits
        info.mtime = -1  # negative numbers exist in base-256 only

    def oldfile(info):
        info.type = tarfile.AREGTYPE

    write("py-base256.tar", tarfile.GNU_FORMAT, base256)
    write("py-aregtype.tar", tarfile.USTAR_FORMAT, oldfile)
    write("py-pax-global.tar", tarfile.PAX_FORMAT, pax_headers={"comment": "applies to every member"})
    write("py-pax-float-mtime.tar", tarfile.PAX_FORMAT, lambda info: setattr(info, "mtime", 1234567890.5))
    goldens.finish()


def webdataset(out):
    from webdataset import TarWriter

    goldens = Goldens(out, "webdataset", "tarwriter", ("file", "key", "field", "body"))
    for name, mtime in [("tarwriter.tar", 0), ("tarwriter-float-mtime.tar", 1234567890.5), ("tarwriter.tar.gz", 0)]:
        with TarWriter(str(goldens.path(name)), encoder=False, mtime=mtime) as writer:
            for key, fields in SAMPLES:
                writer.write({"__key__": key, **fields})
        for key, fields in SAMPLES:
            for field, body in sorted(fields.items()):
                goldens.row(name, key, field, body)
    goldens.finish()


def tensorflow(out):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    goldens = Goldens(out, "tfrecord", "tensorflow", ("file", "record", "feature", "kind", "values"))
    train = tf.train

    def feature(values):
        if isinstance(values[0], bytes):
            return train.Feature(bytes_list=train.BytesList(value=values))
        if isinstance(values[0], int):
            return train.Feature(int64_list=train.Int64List(value=values))
        return train.Feature(float_list=train.FloatList(value=values))

    examples = [
        {"image/encoded": [b"\xff\xd8first"], "image/format": [b"jpeg"], "image/class/label": [7]},
        {"bytes": [b"", b"two"], "int64": [0, -1, 2**63 - 1, -(2**63)], "float": [0.5, -0.0, 3.0]},
        {"é": ["波".encode()], "a": [1]},
        {},
    ]
    messages = [train.Example(features=train.Features(feature={k: feature(v) for k, v in e.items()})) for e in examples]
    payloads = [m.SerializeToString(deterministic=True) for m in messages]
    for name, compression in [("example.tfrecord", ""), ("example.tfrecord.gz", "GZIP"), ("example.tfrecord.zz", "ZLIB")]:
        write_tfrecord(tf, goldens.path(name), payloads, compression)
        for i, example in enumerate(examples):
            for key in sorted(example):
                kind = {bytes: "bytes", int: "int64", float: "float"}[type(example[key][0])]
                values = (v.hex() if isinstance(v, bytes) else str(v) for v in example[key])
                goldens.row(name, i, key, kind, ",".join(values))
    raw = [b"", b"foo", b"bar", bytes(range(256)) * 20]
    write_tfrecord(tf, goldens.path("raw.tfrecord"), raw, "")
    for i, payload in enumerate(raw):
        goldens.row("raw.tfrecord", i, "", "payload", payload)
    context = train.Features(feature={"id": feature([b"clip"])})
    frames = train.FeatureList(feature=[feature([b"f0"]), feature([b"f1"])])
    sequence = train.SequenceExample(context=context, feature_lists=train.FeatureLists(feature_list={"frames": frames}))
    write_tfrecord(tf, goldens.path("sequence.tfrecord"), [sequence.SerializeToString(deterministic=True)], "")
    goldens.row("sequence.tfrecord", 0, "context id", "bytes", b"clip")
    goldens.row("sequence.tfrecord", 0, "feature_lists frames", "bytes", "6630;6631")
    write_tfrecord(tf, goldens.path("empty.tfrecord"), [], "")
    goldens.finish()


def write_tfrecord(tf, path, payloads, compression):
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for payload in payloads:
            writer.write(payload)


def mxnet(out):
    import mxnet

    recordio = mxnet.recordio
    goldens = Goldens(out, "recordio", "mxnet", ("file", "key", "id", "flag", "labels", "payload"))
    plain = [b"", b"a", b"abcd", b"abcde", MAGIC, MAGIC * 2, b"abcd" + MAGIC + b"efg", b"abcd" + MAGIC, MAGIC + b"x",
             b"ab" + MAGIC + b"cd", MAGIC + b"abc" + MAGIC, b"abcdefg" + MAGIC * 2 + b"h"]
    with_indexed(recordio, goldens, "plain", lambda writer: [
        (writer.write_idx(key, body), goldens.row("plain.rec", key, "", "", "", body)) for key, body in enumerate(plain)])
    image = b"\xff\xd8" + bytes(range(62))
    headers = [
        (3.0, 7, image),
        ([1.0], 8, image),
        ([1.0, 2.5, -3.0], 9, b"abcd" + MAGIC + b"efg"),
        (0.0, 10, b""),
        ([0.5, 1.0], 2**40, MAGIC),
        (1.0, 0xCED7230A, b"its id is the magic: split inside the header"),
    ]

    def images(writer):
        for key, (label, id, body) in enumerate(headers):
            writer.write_idx(key * 10, recordio.pack(recordio.IRHeader(0, label, id, 0), body))
            labels = label if isinstance(label, list) else [label]
            flag = len(label) if isinstance(label, list) else 0
            goldens.row("images.rec", key * 10, id, flag, ",".join(map(str, labels)), body)

    with_indexed(recordio, goldens, "images", images)
    goldens.finish()


def with_indexed(recordio, goldens, stem, write):
    writer = recordio.MXIndexedRecordIO(str(goldens.path(f"{stem}.idx")), str(goldens.path(f"{stem}.rec")), "w")
    write(writer)
    writer.close()


def sagemaker(out):
    import numpy as np
    from scipy.sparse import csr_matrix

    from sagemaker_sdk import common

    goldens = Goldens(out, "recordio-protobuf", "sagemaker", ("file", "record", "map", "type", "values", "keys", "shape"))

    def write(name, kind, array, labels=None):
        sparse = isinstance(array, csr_matrix)
        with goldens.path(name).open("wb") as file:
            (common.write_spmatrix_to_sparse_tensor if sparse else common.write_numpy_to_dense_tensor)(file, array, labels)
        for i in range(array.shape[0]):
            row = array.getrow(i) if sparse else array[i]
            values, keys = (row.data, row.indices) if sparse else (row, [])
            shape = array.shape[1] if sparse else ""
            goldens.row(name, i, "features", kind, ",".join(str(v) for v in values), ",".join(str(k) for k in keys), shape)
            if labels is not None:
                goldens.row(name, i, "label", kind, labels[i], "", "")

    write("dense-f32.pbr", "float32", np.array([[1, 0, 0.5], [-1, 2, 3]], "float32"), np.array([1, 0], "float32"))
    write("dense-f64.pbr", "float64", np.array([[0.1, 1e300]]), np.array([2.0]))
    write("dense-int.pbr", "int32", np.array([[1, -2, 2**31 - 1]]))
    write("sparse-f32.pbr", "float32", csr_matrix(np.array([[0, 5, 0, 7], [0, 0, 0, 1]], "float32")), np.array([3, 4], "float32"))
    # Four floats with the magic's bits: the SDK does not split them, so neither may a reader.
    write("magic.pbr", "float32", np.frombuffer(MAGIC * 4, "float32").reshape(1, 4))
    goldens.finish()


TOOLS = {"tar": gnu_tar, "tarfile": python_tarfile, "webdataset": webdataset, "tensorflow": tensorflow, "mxnet": mxnet, "sagemaker": sagemaker}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in TOOLS:
        sys.exit(f"usage: make_goldens.py {{{','.join(TOOLS)}}} [OUT]")
    TOOLS[sys.argv[1]](Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "testdata")
