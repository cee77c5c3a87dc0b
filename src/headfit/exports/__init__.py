"""A trained model in other formats, each proved to give what headfit predicts.

- :mod:`~headfit.exports.export`: the flow, ``hf.export``;
- :mod:`~headfit.exports.record`: what every file says of itself;
- :mod:`~headfit.exports.formats`: one module for each format;
- :mod:`~headfit.exports.proof`: the comparison with headfit's own predictions.
"""
