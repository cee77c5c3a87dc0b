"""OpenVINO graphs: built from Keras models, proved, tuned, quantised and cached."""
