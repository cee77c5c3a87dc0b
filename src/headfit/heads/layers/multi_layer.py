"""Averages of several layers side by side: simple features beside those of the backbone's end.

v = concat_l mean_p F_p^l over layers l of C_l channels, float (n, ΣC_l); no trainable parameters,
so a head for K classes has KΣC_l weights and K biases. The backbone itself joins the averages to
one map of 1 × 1 positions (see ``headfit.backbones.cut``), of which this is the only position; on
the map of one layer it equals gap. Source: Evci 2022 (Head2Toe), without its selection by group
lasso: the penalty is L2 as for every head.
"""

from __future__ import annotations

from dataclasses import dataclass

from headfit.heads.layers.gap import Gap


@dataclass(frozen=True)
class MultiLayer(Gap):
    """The means over all positions of several layers."""


MULTI_LAYER = MultiLayer(
    "multi_layer",
    "concat over layers of mean_p F_p",
    "Evci 2022 (Head2Toe)",
    several_layers=True,
)
