"""`python -m stream_filter`."""

from stream_filter.cli.main import main

main(prog_name="stream-filter")
