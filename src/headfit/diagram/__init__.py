"""The depiction: what Flatten and what global average pooling make of one feature map, as SVG."""
