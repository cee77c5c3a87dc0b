"""What a file or folder is that is not a model of Keras' in one file, and what to do about it.

Recognised by content, whatever the name. Nothing is run or unpacked.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from headfit.errors import ModelFileError, UsageError

START = 512  # bytes that tell
AGAIN = "Download or copy it again."
KERAS_ONLY = "headfit takes models of Keras: use the one that it was made from, saved as .keras."


def refuse(path: Path) -> None:
    """Raise an error if this cannot be a model in one file.

    Raises:
        UsageError: if there is nothing at this path, or an ordinary folder.
        ModelFileError: says what it is and what to do.
    """
    if not path.exists():
        raise UsageError(f"There is no file '{path}'. Expected a .keras or .h5 file.")
    what = _folder(path) if path.is_dir() else _file(path)
    if what:
        raise ModelFileError(f"'{path}' {what}")


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5, by its content."""
    with path.open("rb") as stream:
        return stream.read(4) == b"\x89HDF"


def weights_only(path: Path) -> ModelFileError:
    """Make the error of a file without a model's layers."""
    return ModelFileError(
        f"'{path}' holds weights only, not the layers. Build the model in your program, call "
        f"model.load_weights('{path.name}'), then model.save('model.keras'), and give that file. "
        f"Weights of a backbone by name go into `weights`."
    )


def _folder(path: Path) -> str:
    if (path / "saved_model.pb").is_file():
        return (
            "is a SavedModel, a folder of TensorFlow's that Keras 3 does not read as a model. Load "
            "it where it was made (TensorFlow up to 2.15, or tf_keras) and write one file with "
            "model.save('model.h5')."
        )
    if (path / "config.json").is_file() and (path / "model.weights.h5").is_file():
        return (
            f"is a .keras file that was unpacked. Pack its files again: cd '{path}' && zip -r "
            f"../model.keras ."
        )
    raise UsageError(f"'{path}' is a folder. Expected a .keras or .h5 file.")


def _file(path: Path) -> str:
    if not path.is_file():  # opening a pipe would wait for ever, and a device may have no end
        return "is a pipe or a device, not a file. Expected a .keras or .h5 file."
    try:
        with path.open("rb") as stream:
            start = stream.read(START)
    except OSError as error:
        return f"cannot be read ({error.strerror})."
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        return f"is empty. {AGAIN}"
    if text.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS, not the file itself. Run: git lfs pull"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page: the download went wrong. Download the file itself."
    if start[4:8] == b"TFL3":
        return f"is a model of TensorFlow Lite. {KERAS_ONLY}"
    if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05":
        return f"is a pickle, which could run code and is not opened. {KERAS_ONLY}"
    if text.startswith(b"{") and b'"class_name"' in text:
        return (
            "is the configuration of a model (JSON) without its weights. Save the whole model with "
            "model.save('model.keras')."
        )
    return _archive(path) if start[:2] == b"PK" else ""


def _archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        if path.suffix.lower() in (".pt", ".pth"):
            return f"is a file of PyTorch. {KERAS_ONLY}"
        return (
            f"is a zip archive that was cut off or damaged ({path.stat().st_size:,} bytes). {AGAIN}"
        )
    except Exception:  # a damaged one can raise anything: whoever reads it says what it is
        return ""
    if any(name.endswith("data.pkl") for name in names):
        return f"is a file of PyTorch. {KERAS_ONLY}"
    return ""
