"""What the demo platform says all day long: routine lines, and noise that only looks alarming.

One template a line: `service | LEVEL | message`. `{name}` is a slot, filled from
the pools of `platform.SLOTS`. None of these lines is worth an analyst's time,
whatever its level says.
"""

ROUTINE = """
gateway | INFO | {method} {path} {status_ok} {ms}ms {bytes}B
gateway | INFO | {method} {path} {status_ok} {ms}ms client={ip}
gateway | DEBUG | route {path} resolved to upstream {service}
gateway | INFO | health check passed for upstream {service}
gateway | DEBUG | keep-alive connection reused for {ip}
gateway | INFO | TLS session resumed for {ip}
gateway | INFO | configuration snapshot {n} applied, no changes
gateway | INFO | access token accepted for client {client}
gateway | DEBUG | response compressed from {bytes} to {bytes} bytes
gateway | INFO | listener on port {port} accepting connections
checkout | INFO | order {order} placed by user {user} total {amount} EUR
checkout | INFO | cart {cart} converted to order {order}
checkout | INFO | coupon applied to cart {cart}
checkout | DEBUG | cart {cart} recalculated in {ms}ms
checkout | INFO | user {user} started checkout with {n} items
checkout | INFO | shipping quote received for order {order} in {ms}ms
checkout | DEBUG | price list version {n} loaded
checkout | INFO | order {order} confirmed, confirmation mail queued
checkout | INFO | cart {cart} expired after {n} minutes of inactivity
checkout | DEBUG | tax rate for {region} read from cache
payments | INFO | payment {payment} authorised for order {order} amount {amount} EUR
payments | INFO | payment {payment} captured in {ms}ms
payments | INFO | refund {payment} completed for order {order}
payments | INFO | card tokenised for user {user}
payments | DEBUG | fraud score computed for payment {payment} in {ms}ms
payments | INFO | settlement batch {n} sent with {n} transactions
payments | INFO | webhook from provider {provider} acknowledged
payments | DEBUG | idempotency key {hex} already seen, returning stored response
payments | INFO | 3-D Secure challenge passed for payment {payment}
payments | INFO | currency rates refreshed from {provider}
auth | INFO | user {user} logged in from {ip}
auth | INFO | user {user} logged out
auth | INFO | access token issued for client {client} expires in {n}s
auth | DEBUG | refresh token rotated for session {hex}
auth | INFO | password reset mail sent to user {user}
auth | INFO | session {hex} renewed
auth | DEBUG | JWKS cache refreshed, {n} keys
auth | INFO | user {user} enrolled a second factor
auth | INFO | consent recorded for user {user}
auth | DEBUG | permission check allowed user {user} on {path}
search | INFO | query '{word}' returned {n} hits in {ms}ms
search | DEBUG | query '{word}' served from cache
search | INFO | index segment {n} merged in {ms}ms
search | INFO | synonyms reloaded, {n} entries
search | DEBUG | suggest '{word}' took {ms}ms
search | INFO | reindexed {n} documents of {sku}
search | INFO | refresh of index products completed
search | DEBUG | ranking model {n} warmed up
inventory | INFO | stock of {sku} updated to {n}
inventory | INFO | reserved {n} units of {sku} for order {order}
inventory | INFO | reservation {hex} released
inventory | DEBUG | stock level of {sku} read in {ms}ms
inventory | INFO | warehouse feed {n} imported with {n} rows
inventory | INFO | cycle count of aisle {n} finished without differences
inventory | DEBUG | snapshot {n} written to object store
catalog | INFO | product {sku} published
catalog | INFO | product {sku} updated by editor {user}
catalog | DEBUG | image variants of {sku} rendered in {ms}ms
catalog | INFO | price of {sku} changed to {amount} EUR
catalog | INFO | category tree rebuilt in {ms}ms
catalog | DEBUG | cache entry for {sku} invalidated
shipping | INFO | label printed for order {order}
shipping | INFO | parcel {parcel} handed over to carrier {carrier}
shipping | INFO | tracking update for parcel {parcel}: in transit
shipping | INFO | parcel {parcel} delivered
shipping | DEBUG | rate table of carrier {carrier} read from cache
shipping | INFO | pickup scheduled with carrier {carrier}
shipping | INFO | address of order {order} validated
notifier | INFO | mail {hex} delivered to user {user}
notifier | INFO | push message sent to {n} devices
notifier | DEBUG | template order_confirmation rendered in {ms}ms
notifier | INFO | newsletter batch {n} finished
notifier | INFO | unsubscribe recorded for user {user}
notifier | INFO | sms queued for user {user}
recommender | INFO | {n} recommendations served to user {user} in {ms}ms
recommender | DEBUG | embedding of {sku} read from cache
recommender | INFO | model version {n} loaded in {ms}ms
recommender | INFO | nightly training finished, offline gain {n} percent
recommender | DEBUG | feature vector of user {user} built in {ms}ms
scheduler | INFO | job {job} started
scheduler | INFO | job {job} finished in {ms}ms
scheduler | INFO | job {job} skipped, previous run still active
scheduler | DEBUG | lease on {job} renewed
scheduler | INFO | {n} jobs planned for the next hour
scheduler | INFO | cleanup removed {n} expired rows
orders-db | INFO | checkpoint complete: wrote {n} buffers
orders-db | INFO | autovacuum of table orders: {n} pages removed
orders-db | DEBUG | connection received: host={ip} port={port}
orders-db | INFO | connection authorized: user=checkout database=orders
orders-db | INFO | standby {host} caught up, lag {ms}ms
orders-db | INFO | base backup finished in {n}s
orders-db | DEBUG | plan cache hit for statement {hex}
queue | INFO | consumer group {group} rebalanced, {n} members
queue | INFO | segment {n} of topic orders rolled
queue | DEBUG | fetched {n} records from partition {n}
queue | INFO | offsets committed for group {group}
queue | INFO | log retention deleted {n} segments
session-cache | DEBUG | evicted {n} keys
session-cache | INFO | background save finished in {ms}ms
session-cache | DEBUG | hit ratio {pct_ok}% over the last minute
session-cache | INFO | replica {host} synchronised
gateway | INFO | deployment {hex} started by pipeline
gateway | INFO | deployment {hex} finished, {n} of {n} instances healthy
payments | INFO | rolling restart of instance {host} finished
checkout | INFO | feature flag {flag} evaluated to off
auth | INFO | audit export of {n} records uploaded
inventory | INFO | graceful shutdown finished, {n} requests drained
orders-db | INFO | disk usage at {pct_ok}%
queue | INFO | disk usage at {pct_ok}%
search | INFO | heap usage at {pct_ok}%
scheduler | INFO | certificate of {service} checked, valid for {n} days
"""

NOISE = """
gateway | WARN | client {ip} closed connection before response was sent
gateway | ERROR | upstream {service} timed out after {ms}ms, retry 1 of 3 succeeded
gateway | WARN | slow request {method} {path} took {slow}ms
gateway | ERROR | request cancelled by client on {path}
gateway | WARN | rate limit applied to client {client}
gateway | ERROR | {method} {path} 404 not found
gateway | ERROR | TLS handshake error from {ip}: client sent unsupported version
gateway | WARN | deprecated header X-Client-Version from {ip}
gateway | ERROR | malformed request line from scanner {ip} rejected
gateway | WARN | upstream connection reset by {service}, retried on another instance
checkout | WARN | coupon {hex} not valid for cart {cart}
checkout | ERROR | validation failed: field postal_code of cart {cart} is empty
checkout | WARN | payment declined for order {order}: insufficient funds
checkout | ERROR | optimistic lock conflict on cart {cart}, retrying
checkout | WARN | shipping quote timed out, default rate used
checkout | ERROR | user {user} abandoned payment form
payments | WARN | payment {payment} declined by issuer: insufficient funds
payments | ERROR | card expired for payment {payment}
payments | WARN | provider {provider} responded in {slow}ms
payments | ERROR | call to provider {provider} failed, retry 1 of 3 succeeded
payments | WARN | duplicate webhook from provider {provider} ignored
payments | ERROR | 3-D Secure challenge abandoned by user for payment {payment}
payments | WARN | test card used in sandbox by client {client}
auth | WARN | wrong password for user {user}
auth | ERROR | token expired for client {client}
auth | WARN | user {user} asked for password reset twice
auth | ERROR | invalid signature on token from {ip}, request refused
auth | WARN | session {hex} not found, redirecting to login
auth | ERROR | captcha failed for {ip}
auth | WARN | clock skew of {ms}ms accepted for token of client {client}
search | WARN | query '{word}' returned no hits
search | ERROR | query parse error near '{word}', falling back to simple match
search | WARN | slow query '{word}' took {slow}ms
search | ERROR | suggest request cancelled by client
search | WARN | circuit half-open, probing replica {host}
inventory | WARN | stock of {sku} is low: {n} left
inventory | ERROR | reservation conflict on {sku}, retried
inventory | WARN | warehouse feed {n} arrived {n} minutes late
inventory | ERROR | row {n} of feed {n} skipped: unknown unit
catalog | WARN | image of {sku} missing, placeholder shown
catalog | ERROR | import of row {n} rejected: description too long
catalog | WARN | stale cache entry for {sku} served
catalog | ERROR | thumbnail of {sku} failed, will be retried
shipping | WARN | carrier {carrier} rate request took {slow}ms
shipping | ERROR | address of order {order} could not be verified, asked customer to confirm
shipping | WARN | tracking number {parcel} unknown to carrier yet
shipping | ERROR | label printer {host} out of paper, job moved to another printer
notifier | WARN | mail to user {user} bounced: mailbox full
notifier | ERROR | smtp connection dropped, message requeued
notifier | WARN | push token of user {user} expired
notifier | ERROR | template variable nickname missing, default used
recommender | WARN | fallback to popular items for user {user}
recommender | ERROR | feature store lookup timed out, cached features used
recommender | WARN | model version {n} is older than {n} days
scheduler | WARN | job {job} started {n}s late
scheduler | ERROR | job {job} attempt 1 failed, retry scheduled
scheduler | WARN | job {job} took longer than usual: {slow}ms
orders-db | WARN | duration {slow}ms statement: SELECT from orders
orders-db | ERROR | canceling statement due to user request
orders-db | WARN | could not receive data from client: connection reset by peer
orders-db | ERROR | duplicate key value violates unique constraint carts_pkey
orders-db | WARN | deadlock detected, transaction {n} retried
orders-db | WARN | disk usage at {pct_high}%
orders-db | WARN | standby {host} is {ms}ms behind
queue | WARN | consumer {client} of group {group} left, rebalancing
queue | WARN | lag of group {group} is {lag_ok} records
queue | ERROR | request from {ip} failed: not leader for partition, client will refresh metadata
queue | WARN | produce request from {client} throttled for {ms}ms
session-cache | WARN | connection limit nearly reached, {n} clients
session-cache | ERROR | command timed out after {ms}ms, retried
session-cache | WARN | key larger than {bytes} bytes stored by {service}
gateway | WARN | retry budget for {service} at {pct_ok}%
checkout | WARN | feature flag service unreachable for {ms}ms, cached flags used
auth | WARN | LDAP lookup retried after {ms}ms
payments | WARN | replayed event {n} ignored
search | WARN | heap usage at {pct_high}%, collection freed {n} MB
"""
