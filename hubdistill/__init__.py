"""Distil embedding models, prove what the student keeps, publish it with a card that can be re-run."""

__version__ = "0.1.0"
