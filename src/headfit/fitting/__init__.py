"""How heads are trained on kept feature maps: exactly if linear, by gradient descent if not."""
