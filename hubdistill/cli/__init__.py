"""The command line: parse, call, print. Each command does what a Python caller can do as well.

One file a command; `output` is the one place that prints, `errors` the one table from exceptions to
messages and exit codes.
"""

from hubdistill.cli.app import app, main

__all__ = ["app", "main"]
