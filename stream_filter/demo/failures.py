"""What the demo platform says when something matters.

Same form as `routine.ROUTINE`. `IMPORTANT` goes on in small numbers all the
time. `DEPLOY` and `CASCADE` belong to the deploy that goes wrong. `UNSEEN` is a
failure of a kind that no shipped model has been trained on.

Some lines are equal to routine ones but for a number (`{pct_bad}`, `{lag_bad}`):
a model that reads canonical text cannot tell them apart, and must not pretend to.
"""

IMPORTANT = """
gateway | INFO | circuit opened for upstream {service} after {n} failures
gateway | ERROR | all upstreams of {service} are unhealthy, returning 503
gateway | WARN | certificate of {path} expires in {n} hours and renewal was refused
gateway | ERROR | routing table is empty after configuration reload
gateway | WARN | {n} percent of requests to {path} failed in the last minute
gateway | INFO | web application firewall switched off by user {user}
gateway | WARN | request smuggling attempt from {ip} reached upstream {service}
checkout | ERROR | order {order} charged twice
checkout | WARN | order {order} confirmed but no payment found
checkout | INFO | total of order {order} is negative, order accepted
checkout | ERROR | orders cannot be written, checkout is read-only
checkout | WARN | order rate fell to zero in {region}
checkout | ERROR | cart {cart} lost after failed migration
payments | INFO | refund mismatch for order {order}: ledger differs by {amount} EUR
payments | ERROR | settlement batch {n} rejected by provider {provider}, money not transferred
payments | ERROR | capture of payment {payment} succeeded but was not recorded
payments | WARN | chargeback rate above contract limit for provider {provider}
payments | INFO | payout account of merchant {user} changed from unknown device
payments | ERROR | card numbers found in plain text in request log
payments | FATAL | cannot decrypt card vault, key version {n} missing
auth | INFO | user {user} granted role administrator by {user}
auth | WARN | {n} failed logins followed by a success for user {user} from {ip}
auth | ERROR | signing key could not be loaded, no tokens can be issued
auth | INFO | second factor disabled for administrator {user}
auth | WARN | session {hex} used from two countries within a minute
auth | WARN | login of disabled account {user} succeeded
auth | ERROR | user directory unreachable, all logins failing
search | ERROR | index products is corrupt, shard {n} lost
search | WARN | replica promoted, {n} documents missing on new primary
search | ERROR | cluster lost quorum, writes refused
search | FATAL | out of memory, process killed
search | WARN | heap usage at {pct_bad}%, collection freed {n} MB
inventory | WARN | stock of {sku} is below zero
inventory | ERROR | {n} reservations lost after restart
inventory | INFO | stock of {n} products set to zero by import {n}
inventory | ERROR | oversold {sku}: {n} orders cannot be fulfilled
catalog | WARN | price of {sku} set to 0.00 EUR by import
catalog | ERROR | product database unreachable, all pages failing
catalog | INFO | {n} products deleted by user {user}
shipping | ERROR | parcels of {n} orders sent to wrong address
shipping | WARN | carrier {carrier} rejects all labels since {n} minutes
shipping | INFO | export of customer addresses started by {user} to {ip}
notifier | ERROR | mail provider suspended our account
notifier | WARN | order confirmation sent to wrong recipient for order {order}
notifier | ERROR | {n} messages lost, outbox table truncated
recommender | WARN | model version {n} returns the same score for every product
recommender | ERROR | training data deleted before backup
scheduler | ERROR | job {job} failed after 3 of 3 attempts, giving up
scheduler | WARN | two leaders active for {job}
scheduler | WARN | job {job} has not run for {n} days
scheduler | ERROR | backup of orders-db failed and no valid backup is left
orders-db | INFO | replica promoted to primary on {host}
orders-db | FATAL | could not write to file, no space left on device
orders-db | ERROR | invalid page in block {n} of relation orders, data corrupted
orders-db | WARN | disk usage at {pct_bad}%
orders-db | ERROR | transaction id wraparound imminent, database stops accepting commands
orders-db | WARN | replication slot lost, standby {host} must be rebuilt
orders-db | ERROR | too many connections, new clients refused
queue | ERROR | partition {n} of topic orders has no leader
queue | WARN | under-replicated partitions: {n}, acknowledged records at risk
queue | WARN | lag of group {group} is {lag_bad} records
queue | ERROR | broker {host} lost its log directory
queue | INFO | unclean leader election for topic orders, {n} records lost
session-cache | FATAL | append-only file corrupt, refusing to start
session-cache | WARN | all sessions evicted, every user signed out
session-cache | INFO | primary {host} unreachable, failover started
session-cache | ERROR | memory exhausted, writes refused
"""

DEPLOY = """
payments | ERROR | column payout_currency does not exist, capture of payment {payment} failed
payments | ERROR | uncaught exception in capture handler, payment {payment} not charged
payments | FATAL | instance {host} crashed on start: migration {n} incomplete
payments | WARN | error rate {n} percent since version {n} was deployed
payments | INFO | circuit opened for provider {provider} after deploy of version {n}
"""

CASCADE = """
checkout | ERROR | payments unavailable, order {order} cannot be completed
checkout | WARN | circuit opened for payments, {n} orders waiting
checkout | ERROR | order {order} stuck in state paying since {n} minutes
gateway | ERROR | upstream checkout returned 500 for every attempt on {path}
gateway | WARN | {n} percent of requests to checkout fail since {n} minutes
shipping | WARN | no paid orders received since {n} minutes
"""

UNSEEN = """
catalog | INFO | content of {sku} replaced by text in an unknown language by integration {client}
catalog | WARN | reviews of {sku} contain instructions addressed to the assistant
notifier | INFO | outgoing volume to domain {word}.example grew {n} times within a minute
auth | INFO | api key of client {client} published in a public repository
search | INFO | hidden field cost_price included in results for '{word}'
gateway | WARN | responses of {service} belong to another tenant
inventory | WARN | time on {host} jumped back by {n} hours
"""
