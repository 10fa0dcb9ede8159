"""Draws testdata/tree: forty small pictures in four class folders, some with sidecars.

    python scripts/make_tree.py [OUT]        # needs Pillow (made with 13.0.0)

The pictures are committed; run this only to change them, since another Pillow (that is, another
libjpeg) gives other bytes.
"""

import json
import math
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw

SIZE = 96
PER_CLASS = 10
# Class folder -> (extension, sidecars). Mixed on purpose: packing must cope with all of these.
CLASSES = {
    "dots": ("jpg", ("json", "txt")),
    "rings": ("png", ("json",)),
    "stripes": ("jpg", ()),
    "waves": ("jpg", ("txt",)),
}
# Names a user may well have: UTF-8 beyond ASCII, upper case, a plus sign.
NAMES = {
    ("rings", 4): "rings-04+crop",
    ("stripes", 2): "Stripes_02",
    ("waves", 5): "waves-05-été",
    ("waves", 6): "waves-06-波",
}


def colour(rng):
    return tuple(rng.randrange(20, 236) for _ in range(3))


def draw(kind, rng):
    image = Image.new("RGB", (SIZE, SIZE), colour(rng))
    canvas = ImageDraw.Draw(image)
    count = rng.randrange(3, 9)
    for i in range(count):
        ink = colour(rng)
        x, y, r = rng.randrange(SIZE), rng.randrange(SIZE), rng.randrange(6, 20)
        if kind == "dots":
            canvas.ellipse((x - r, y - r, x + r, y + r), fill=ink)
        elif kind == "rings":
            canvas.ellipse((x - r, y - r, x + r, y + r), outline=ink, width=3)
        elif kind == "stripes":
            left = i * SIZE // count
            canvas.polygon([(left, 0), (left + r, 0), (left + r + x // 4, SIZE), (left, SIZE)], fill=ink)
        else:
            wave = [(t, y + r * math.sin((t + x) / r)) for t in range(SIZE)]
            canvas.line(wave, fill=ink, width=4)
    return image, count


def main(out):
    for label, (kind, (ext, sidecars)) in enumerate(CLASSES.items()):
        folder = out / kind
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(PER_CLASS):
            rng = random.Random(f"{kind}-{number}")
            image, count = draw(kind, rng)
            stem = NAMES.get((kind, number), f"{kind}-{number:02}")
            options = {"quality": 80} if ext == "jpg" else {"optimize": True}
            image.save(folder / f"{stem}.{ext}", **options)
            # A sidecar shares its picture's name up to the first dot of the basename.
            if "json" in sidecars:
                facts = {"class": kind, "label": label, "shapes": count, "size": [SIZE, SIZE]}
                (folder / f"{stem}.json").write_text(json.dumps(facts, sort_keys=True) + "\n")
            if "txt" in sidecars:
                (folder / f"{stem}.txt").write_text(f"{count} {kind} on a plain ground\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "testdata/tree"))
