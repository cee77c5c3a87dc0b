"""How far a prediction may be trusted: calibration, prediction sets, outliers, suspects."""
