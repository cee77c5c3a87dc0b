"""What turns a feature map into class probabilities."""
