"""Budgeted embedding tables for recommender systems: a reproducible study (BET, WSDM 2024)."""

__version__ = "0.1.0"
