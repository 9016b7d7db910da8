"""Seconds and memory at Gowalla's size, beside what the published code takes."""
