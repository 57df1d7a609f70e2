"""`python -m tests.evasion` prints the table."""

from tests.evasion.packs import table

print(table())
