"""What the demo's pack is trained on: canonical texts of templates, with words dropped at random.

The level, and now and then the service, is left out or replaced, so that the
model cannot lean on them.
"""

import hashlib
import json
import random
from dataclasses import dataclass

from models.demo.generic import IMPORTANT, PARTS, UNIMPORTANT
from stream_filter.core.canonical import canonicalize
from stream_filter.demo.platform import SERVICES, Template

_SPARE = """
    abort accelerator access account acknowledge agent alert allocate api apache append archive
    assert async audit auth authenticate backend backup bandwidth batch binary bios bucket
    buffer bug byte cache callback certificate checkpoint checksum chunk cipher client cluster
    commit compact compress config connection consumer container controller cookie core corrupt
    cpu crash credential cron cursor daemon dashboard database datanode deadlock debug decode
    decrypt decode default delete denied deploy dequeue descriptor device dhcp disk dns docker
    domain driver dump duplicate encrypt endpoint enqueue ethernet evict exception executor exit
    expire failover fallback fatal fetch firewall firmware flush fork ftp gateway gpu grpc handler
    handshake hash hdfs heap heartbeat hook host hostname http https idle index inode ingress
    instance interface interrupt invalid iptables java javascript job json kafka kernel kubernetes
    lag latency ldap leader lease linux listener load lock log login loop malformed mapper memory
    merge metadata metric middleware migration mirror module mount mutex mysql namenode namespace
    nginx node null oauth offset oom optimizer orphan overflow packet page panic parse partition
    password patch payload peer permission persist pod pointer pool port postgres primary privilege
    process producer profile protocol proxy publish python query queue quorum quota raid raft read
    rebalance reboot recover redis reducer refresh register reject release remote render replica
    replicate repository request reset resolve resource response restart restore retry revoke
    rollback root route router runtime sandbox scan schedule schema script sensor server service
    session shard shell shutdown signal signature snapshot socket spark spawn spike sql ssh ssl
    stack stale standby startup storage stream subnet subscriber suspend swap switch sync syntax
    syslog tcp tenant terminate thread threshold throttle timeout timer timestamp tls token topic
    trace transaction trigger truncate tunnel udp unauthorized unavailable undo unreachable update
    upgrade upload upstream url user vacuum validate vault version virtual volume vpn watchdog
    webhook worker workflow write xml yaml yarn zombie zookeeper
"""
SPARE_WORDS = tuple(_SPARE.split())
"""Words of computing whose pieces the trimmed vocabulary keeps whole."""

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR", "FATAL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One training text, its truth (1.0 = important) and the template that it came from."""

    text: str
    label: float
    template: int


def text_of(template: Template, rng: random.Random) -> str:
    """The canonical text that the demo's policy would give the model."""
    return canonicalize(f"{template.service} {template.level} {template.render(rng)}")


def samples(templates: tuple[Template, ...], variants: int, seed: int) -> list[Sample]:
    """`variants` texts of each template; `Sample.template` is its place in `templates`."""
    rng = random.Random(seed)
    return [
        Sample(
            text=canonicalize(_varied(template, rng)),
            label=float(template.important),
            template=number,
        )
        for number, template in enumerate(templates)
        for _ in range(variants)
    ]


def generic_samples(variants: int, seed: int) -> list[Sample]:
    """`variants` texts of each generic line; `Sample.template` is -1."""
    rng = random.Random(seed)
    made = []
    for label, table in ((0.0, UNIMPORTANT), (1.0, IMPORTANT)):
        for line in table.strip().splitlines():
            for _ in range(variants):
                message = line.format(part=rng.choice(PARTS), n=rng.randrange(100), ip="10.0.0.1")
                service = rng.choice((*PARTS, *SERVICES, "", "", "app"))
                raw = f"{service} {rng.choice((*LEVELS, '', ''))} {message}"
                made.append(Sample(text=canonicalize(raw), label=label, template=-1))
    return made


def _varied(template: Template, rng: random.Random) -> str:
    service, level = template.service, template.level
    if rng.random() < 0.2:
        service = rng.choice((*SERVICES, "", "", "app", "worker"))
    if rng.random() < 0.5:
        level = rng.choice((*LEVELS, "", "", ""))
    return f"{service} {level} {template.render(rng)}"


def digest_of(data: list[Sample]) -> str:
    """SHA-256 over the training texts and labels, in order."""
    lines = "\n".join(json.dumps([s.text, s.label]) for s in data)
    return hashlib.sha256(lines.encode()).hexdigest()
