"""Loads `sagemaker.amazon.common` of the SDK without the SDK's own dependencies.

The module needs numpy and protobuf; its other imports serve inference endpoints and pull in boto3,
pandas and more, so they are replaced by empty classes.
"""

import importlib
import importlib.util
import sys
import types


def _stub(name, **members):
    module = types.ModuleType(name)
    module.__dict__.update(members)
    sys.modules[name] = module
    return module


def _load():
    folder = next(iter(importlib.util.find_spec("sagemaker").submodule_search_locations))
    # A package object made by hand: importing the real one runs an __init__ that needs boto3.
    _stub("sagemaker", __path__=[folder])
    _stub("sagemaker.amazon", __path__=[f"{folder}/amazon"])
    _stub("sagemaker.deprecations", deprecated_class=lambda cls, name: cls)
    _stub("sagemaker.deserializers", SimpleBaseDeserializer=object)
    _stub("sagemaker.serializers", SimpleBaseSerializer=object)
    _stub("sagemaker.utils", DeferredError=object)
    return importlib.import_module("sagemaker.amazon.common")


common = _load()
