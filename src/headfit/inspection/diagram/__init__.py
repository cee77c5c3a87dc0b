"""The depiction: what Flatten and what global average pooling make of one map, as SVG or PNG."""
