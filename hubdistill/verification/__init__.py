"""Verification: what a published model claims, measured again.

verifying.py    one verification, from beginning to end
figures.py      the figures of a report, so that two evaluations can be laid side by side
inputs.py       the data that they were measured on; local_data.py: what of it may lie on this machine
published.py    the model, its teacher, their weights and what they are made of
rerun.py        the measurements
judgement.py    claimed against measured
outcome.py      what was found
card_check.py   the card against the report (card_lines.py: its text, which card_reading.py reads; visible.py:
                what of it is seen; index_entries.py: its model-index)
model_index.py  cards without a report

A report is written by a stranger. Nothing in it names a place of this machine that is read, a server that
is asked, or code that is run.
"""
