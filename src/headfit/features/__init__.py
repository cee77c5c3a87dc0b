"""Every image through the frozen backbone once, and its feature map kept."""
