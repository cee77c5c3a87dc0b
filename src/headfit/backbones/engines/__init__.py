"""What runs a backbone: OpenVINO, or Keras itself."""
