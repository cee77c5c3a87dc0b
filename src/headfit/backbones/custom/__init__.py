"""The user's own models as backbones."""
