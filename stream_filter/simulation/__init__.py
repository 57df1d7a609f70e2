"""Thousands of made streams through the core's statistics: what they promise beside what comes.

Randomness comes in as a numpy Generator. Streams are made of what the statistics see: the
important events by the analyst's account, their scores and draws, and the verdicts on them; other
events appear where they matter, as labels, as false alarms of a judge, and as silence.
"""
