"""The demo: a make-believe web shop whose log stream's truth is known, and the gate on it.

`generator` makes the stream (from `platform`, `routine`, `failures`), `producer` sends it at its
pace; `stage` sets up broker, policy and settings, `child` runs gate and analyst as processes of
their own; `language_model` is whom the analyst asks: a stand-in that knows the `truth`, or a real
one. `follower` reads what they wrote, `scoreboard` and `judging` hold it against the truth, `bill`
says what it saved;
`session` plays all that once, `view` and `plain` show it, `report` sums it up.
"""
