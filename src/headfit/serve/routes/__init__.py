"""The addresses of the server besides those of the Open Inference Protocol."""
