"""Load a backbone of KerasHub's; a folder is checked first, as any model file is. Imports Keras."""

from __future__ import annotations

from pathlib import Path

import h5py
import keras

from headfit.errors import DataError, ModelFileError, WeightsError
from headfit.util import files, not_a_model, saved_model
from headfit.util.model_parts import CONFIG, LIMITS, parse, shapes_of


def load(preset: str) -> keras.Model:
    """Load a KerasHub backbone with its weights.

    Args:
        preset: the name of one, or its folder.

    Raises:
        ModelFileError: if files in the folder are not safe to load.
        WeightsError: if KerasHub cannot load it.
    """
    import keras_hub  # noqa: PLC0415  (an extra)

    check(Path(preset))
    try:
        return keras_hub.models.Backbone.from_preset(preset)
    except Exception as error:
        reason = " ".join(str(error).split())[:250] or type(error).__name__
        raise WeightsError(
            f"KerasHub cannot load the preset '{preset}': {reason.rstrip('.')}. Expected the name "
            f"of one with an image backbone, such as resnet_18_imagenet, or its folder."
        ) from None


def check(folder: Path) -> None:
    """Check the configurations and the weights in the folder of a preset; none, if it is a name.

    Raises:
        ModelFileError: if one of them is not safe, or cannot be read.
    """
    for path in sorted(folder.rglob("*.json")) if folder.is_dir() else ():
        try:
            config = parse(files.read_regular(path, LIMITS[CONFIG]), path.name, folder)
        except DataError as error:
            raise ModelFileError(str(error)) from None
        except ValueError as error:
            raise ModelFileError(f"'{path}' is not JSON ({error}).") from None
        for complaint in saved_model.complaints(config):
            raise ModelFileError(f"'{path}' {complaint}")
    for path in sorted(folder.rglob("*.h5")) if folder.is_dir() else ():
        not_a_model.refuse(path)
        try:
            with h5py.File(path, "r") as arrays:
                shapes_of(arrays, path)
        except ModelFileError:
            raise
        except Exception as error:  # a damaged file can make HDF5 raise anything
            raise ModelFileError(f"'{path}' is not HDF5 ({error}).") from None
