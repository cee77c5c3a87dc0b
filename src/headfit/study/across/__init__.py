"""What many data sets say together: ranks of heads, flatten against gap, and what it goes with."""

from headfit.study.across.plain import summarise

__all__ = ["summarise"]
