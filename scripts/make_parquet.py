#!/usr/bin/env python3
"""Writes testdata/parquet: tables as pandas and pyarrow write them.

    pip install pandas pyarrow && scripts/make_parquet.py
"""
import datetime
import pathlib

import numpy
import pandas
import pyarrow
import pyarrow.parquet

folder = pathlib.Path(__file__).parent.parent / "testdata" / "parquet"
folder.mkdir(parents=True, exist_ok=True)

table = pandas.DataFrame({
    "key": ["cat/00", "dog/01", "bird/02"],
    "caption": ['a "cat"', None, "é"],
    "width": pandas.array([640, -1, 0], dtype="int16"),
    "big": numpy.array([2**64 - 1, 0, 1], dtype="uint64"),
    "ratio": pandas.array([0.1, 1.5, 2.0], dtype="float32"),
    "score": [0.5, float("nan"), float("inf")],
    "good": [True, False, True],
})
for codec in ["snappy", "zstd", None]:
    table.to_parquet(folder / f"{codec or 'plain'}.parquet", compression=codec, index=False)

day = datetime.date(2024, 2, 29)
nested = pyarrow.table({
    "key": ["cat/00", "dog/01"],
    "tags": [["a", "b"], []],
    "taken": [day, day],
    "n": [1, 2],
})
pyarrow.parquet.write_table(nested, folder / "nested.parquet")
