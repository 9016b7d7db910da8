"""Numbers from records: data frames, statistics, what is best in how many bytes."""
