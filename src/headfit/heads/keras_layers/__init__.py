"""headfit's own Keras layers; importing the package registers them with Keras."""

from headfit.heads.keras_layers import shaped, spatial, trained

__all__ = ["shaped", "spatial", "trained"]
