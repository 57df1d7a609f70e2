"""Log lines that any system might write, so that the pack leans on no word of the shop alone.

Written for this purpose; `{part}` is a component, `{n}` a number, `{ip}` an
address. They are trained on and never shown in the demo.
"""

PARTS = (
    "api", "worker", "kernel", "node agent", "volume manager", "proxy", "broker", "controller",
    "storage", "ingest", "billing", "indexer", "replicator", "vpn", "mail relay", "backup agent",
    "load balancer", "compiler", "sensor", "stream processor",
)  # fmt: skip

UNIMPORTANT = """
{part} started in {n} ms
{part} stopped by operator request
connection from {ip} closed normally
received block {n} of size {n} from {ip}
heartbeat from {part} received
{part} registered with {n} capabilities
configuration of {part} loaded from disk
request finished with status 0 in {n} ms
user session opened for uid {n}
user session closed for uid {n}
{part} retry {n} succeeded
temporary failure in {part}, recovered after retry
client went away before the reply was written
task {n} completed successfully
scheduled maintenance of {part} finished
garbage collection took {n} ms
{part} cache miss, value loaded from store
metrics flushed to {ip}
deprecated option ignored by {part}
{part} reloaded after configuration change
listening on {ip} port {n}
uploaded {n} bytes to object store
snapshot of {part} created
verification of block {n} succeeded
failed login for invalid user from {ip}
warning: unused parameter in {part} configuration
timeout while waiting for optional reply, continuing
element {n} not found, default value returned
{part} queue empty, sleeping
lock acquired after {n} ms
rate limited client {ip}
invalid input rejected with a helpful message
connection pool of {part} grew to {n}
certificate of {part} renewed
debug trace for request {n} attached
job {n} cancelled by its owner
package list of {part} is up to date
duplicate message {n} discarded
slow disk write of {n} ms on {part}
interface eth0 link is up
worker {n} exited normally
{part} ignored unknown field
transient network error, connection re-established with {ip}
expected exception in health probe of {part} during shutdown
correctable error detected and corrected in {part}
progress {n} percent of {part}
file rotated after {n} lines
error page 0 served to {ip}
permission denied for anonymous user, login page shown
aborted upload removed from staging
"""

IMPORTANT = """
{part} data corrupted, checksum mismatch in block {n}
{part} lost {n} records
no space left on device, {part} stopped writing
kernel panic, machine halted
{part} crashed with segmentation fault
{part} cannot recover, manual intervention required
uncorrectable error in {part}, node taken out of service
unauthorized access to {part} from {ip} succeeded
privileges of user {n} raised to root
all replicas of {part} are down
failover of {part} started, primary unreachable
{part} split brain detected, two primaries
backup of {part} failed, no restore point exists
machine check interrupt, {part} terminated
{part} file system remounted read-only after errors
encryption key of {part} leaked
firewall of {part} disabled by {ip}
{part} refuses all connections
{part} restarted {n} times within a minute, giving up
out of memory: killed {part}
customers charged the wrong amount by {part}
messages of {part} delivered to the wrong customer
deadlock in {part}, no progress for {n} minutes
quorum lost, {part} stopped accepting writes
disk {n} of {part} failed, array degraded
temperature of {part} above critical limit, shutting down
power supply {n} lost on {part}
certificate of {part} expired, clients cannot connect
{part} unable to start: missing library
fatal exception in {part}, service unavailable
replication to {ip} broken, standby diverged
audit log of {part} deleted by user {n}
unexpected shutdown of {part}
{part} stopped responding to all requests
parity error in {part} memory, data lost
uplink of {part} down, site unreachable
schema migration of {part} failed halfway
production table dropped by user {n}
malware signature found in file uploaded to {part}
{part} returned wrong results since version {n}
login from new country followed by password change for user {n}
license of {part} expired, features switched off
interface eth0 link is down, no backup path
{part} exhausted all retries, data not saved
emergency stop triggered by {part}
raid controller of {part} failed, volume offline
node {n} unreachable, {n} jobs lost
{part} rejected every request for {n} minutes
corrupt record at offset {n}, {part} halted
service {part} in crash loop since deployment {n}
"""
