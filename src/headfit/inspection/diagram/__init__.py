"""Draws what Flatten and global average pooling make of a feature map, as SVG or PNG."""
