"""Numbers from records: data frames, statistics, curves, what serving takes."""
