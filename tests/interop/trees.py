"""Source trees that look for trouble: sizes around every block boundary, long and foreign names,
payloads full of RecordIO's magic. The same bytes on every run."""

import functools
import random

from harness import MAGIC, scratch

SIZES = [0, 1, 3, 4, 5, 511, 512, 513, 1023, 1024, 4095, 4096, 4097, 65536, 70001]
LONG_FOLDER = "f" * 80
NAMES = [
    "top",  # no folder
    "deep/er/and/deeper/still/sample",
    "d.v1/dots.in-folder",  # the key ends at the first dot of the basename
    "UPPER/Case",
    "plus+and-minus_/under_score",
    "übung/größe",
    "日本/写真",
    f"n{'a' * 94}",  # with .jpg: 99 bytes
    f"n{'b' * 95}",  # with .jpg: exactly tar's 100
    f"{LONG_FOLDER}/{'g' * 90}",  # 175 bytes: the ustar prefix
]


def write(root, name, body):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


@functools.cache
def mixed():
    """Three hundred samples of one to three fields; 3 MB the largest."""
    root = scratch("mixed")
    rng = random.Random("mixed")
    for i in range(300):
        size = SIZES[i % len(SIZES)] if i < 60 else rng.randrange(1, 30000)
        key = NAMES[i] if i < len(NAMES) else f"class-{i % 7}/sample-{i:04}"
        stem = key if "dots.in" not in key else "d.v1/dots"
        write(root, f"{stem}.jpg", rng.randbytes(size))
        if i % 2:
            write(root, f"{stem}.json", b'{"n": %d}' % i)
        if i % 3 == 0 and len(stem.encode()) < 90:
            write(root, f"{stem}.seg.png", rng.randbytes(size // 2))
    write(root, "class-0/large.jpg", rng.randbytes(3_000_000))
    return root


@functools.cache
def magic():
    """One field a sample; the magic at every offset, alone, doubled, at the end, by the thousand."""
    root = scratch("magic")
    rng = random.Random("magic")
    bodies = [b"".join(parts) for parts in (
        [MAGIC], [MAGIC * 2], [MAGIC * 1000], [b"abcd", MAGIC], [MAGIC, b"x"], [MAGIC, b"abc", MAGIC],
        [b"abcd", MAGIC, b"efg"], [MAGIC[:3]], [b"abcd", MAGIC[:3]], [MAGIC, MAGIC[:3]], [],
    )]
    bodies += [rng.randbytes(offset) + MAGIC + rng.randbytes(9) for offset in range(9)]
    # Far apart and across any buffer a writer may use.
    for gap in (4092, 65532, 65536, 1 << 20):
        bodies.append((rng.randbytes(gap) + MAGIC) * 3 + b"end")
    for i in range(100):
        words = [MAGIC if rng.random() < 0.3 else rng.randbytes(4) for _ in range(rng.randrange(200))]
        bodies.append(b"".join(words) + rng.randbytes(rng.randrange(4)))
    for i, body in enumerate(bodies):
        write(root, f"class-{i % 3}/{i:04}.bin", b"%04d" % i + body)  # numbered, so that no two are equal
    return root
