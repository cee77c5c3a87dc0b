"""The pass of every image through the frozen backbone, and the store of its feature maps."""
