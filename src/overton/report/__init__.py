"""The report: one self-contained page, the same tables as Markdown, and a table for the terminal.

This stage reads files of the run directory and nothing else, so a page can be built again from any run, also
from one that was copied from another machine or whose files were made elsewhere.
"""
