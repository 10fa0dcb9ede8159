"""A TFRecord set of TensorFlow, records of MXNet and tars of webdataset, each resharded into every
other format, in the own reader of that format's ecosystem: the same samples in the same order."""

import os

from harness import check, main
from journeys import journey

assert "INTEROP_VENVS" in os.environ, "needs the environments of several tools: scripts/interop.sh ecosystems"

ONE_FIELD = ("--fields", "jpg,png")
TARS = ["webdataset", "tarfile"]


@check
def from_tensorflow_to_webdataset():
    journey("tensorflow", "webdataset", TARS)


@check
def from_tensorflow_to_mxnet():
    journey("tensorflow", "recordio", ["mxnet"], *ONE_FIELD)


@check
def from_tensorflow_to_sagemaker():
    journey("tensorflow", "recordio-protobuf", ["sagemaker"])


@check
def from_mxnet_to_webdataset():
    journey("mxnet", "webdataset", TARS)


@check
def from_mxnet_to_tensorflow():
    journey("mxnet", "tfrecord", ["tensorflow", "tfrecord"])
    journey("mxnet", "tfrecord", ["tensorflow", "tfrecord"], "--schema", "image")


@check
def from_mxnet_to_sagemaker():
    journey("mxnet", "recordio-protobuf", ["sagemaker"])


@check
def from_webdataset_to_tensorflow():
    journey("webdataset", "tfrecord", ["tensorflow"])
    journey("webdataset", "tfrecord", ["tensorflow"], "--schema", "image")


@check
def from_webdataset_to_mxnet():
    journey("webdataset", "recordio", ["mxnet"], *ONE_FIELD)


@check
def from_webdataset_to_sagemaker():
    journey("webdataset", "recordio-protobuf", ["sagemaker"])


main(__name__)
