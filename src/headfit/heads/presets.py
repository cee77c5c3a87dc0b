"""Presets: well-known tops as chains, without their final softmax layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Preset:
    """A chain with a name.

    Attributes:
        name: how it is written in place of the chain.
        chain: the canonical chain.
        source: the network or library that it comes from.
    """

    name: str
    chain: str
    source: str


_ALL = (
    Preset(
        "alexnet",
        "flatten-dropout0.5-4096-dropout0.5-4096",
        "AlexNet: two layers of 4096, dropout before each",
    ),
    Preset(
        "vgg",
        "flatten-4096-dropout0.5-4096-dropout0.5",
        "VGG: two layers of 4096, dropout after each",
    ),
    Preset("googlenet", "gap-dropout0.4", "GoogLeNet: the average, 40 % dropout, no hidden layer"),
    Preset(
        "fastai",
        "avgmax-bn-dropout0.25-512-bn-dropout0.5",
        "fastai's create_head: both poolings, a layer of 512, batch normalisation and dropout "
        "before each layer; its two dense layers have no bias, these do",
    ),
    Preset(
        "mobilenet-question",
        "gap-1024-1024-512",
        "a common top for a frozen MobileNet; 5,854,403 parameters in total with 3 classes",
    ),
    Preset(
        "vgg16-question",
        "flatten",
        "a common top for a frozen VGG16; 25,089 parameters for each class at 224 pixels",
    ),
)

RECORDS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _ALL})
"""Name → preset."""

PRESETS: Mapping[str, str] = MappingProxyType({preset.name: preset.chain for preset in _ALL})
"""Name → chain."""

DEFAULT_HEADS = ("gap", "flatten", "gmp", "avgmax", "spp", "spatial_prior")
"""The heads that are compared by default: all linear after pooling, so exact and quick to fit."""
