"""The demo: a make-believe web shop whose log stream's truth is known, and the gate on it.

`generator` makes the stream (from `platform`, `routine`, `failures`), `producer` sends it at its
pace; `stage` sets up broker, policy and settings, `worker` runs the gate as a child process;
`follower` reads what the gate wrote, `scoreboard` holds it against the truth; `session` plays
all that once, `view` and `plain` show it, `report` sums it up.
"""
