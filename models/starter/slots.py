"""What fills a slot of an authored line: made at random, in the shapes that real systems print."""

import random
from collections.abc import Callable, Mapping

_WORDS = (
    "orders", "users", "audit", "main", "cache", "billing", "tmp", "index", "east", "west",
    "blue", "green", "alpha", "core", "edge", "media", "data", "events", "store", "prod",
    "staging", "web", "mail", "batch", "stats", "search", "images", "profile", "report", "stage",
    "job", "shard", "primary", "archive", "queue", "tenant", "region", "lab", "node", "default",
    "config", "sync", "home", "local", "shared",
)  # fmt: skip
_USERS = (
    "root", "admin", "guest", "oracle", "test", "alice", "bob", "carol", "dmitri", "www-data",
    "postgres", "deploy", "jsmith", "svc_backup", "nobody", "operator",
)  # fmt: skip
_STATES = (
    "NEW", "ASSIGNED", "RUNNING", "SUCCEEDED", "INITED", "SETUP", "COMMITTING", "LOCALIZING",
    "PENDING", "ALLOCATED", "UNASSIGNED", "IDLE", "ACTIVE", "LOADING", "DONE",
)  # fmt: skip
_TOP = ("var", "usr", "opt", "home", "data", "etc", "mnt", "srv", "tmp", "user", "scratch")
_ENDS = ("log", "conf", "dat", "jar", "xml", "json", "so", "tmp", "db", "png", "sh", "gz", "py")


def _number(rng: random.Random) -> str:
    return str(rng.randrange(10 ** rng.randrange(1, 6)))


def _word(rng: random.Random) -> str:
    return rng.choice(_WORDS)


def _id(rng: random.Random) -> str:
    forms = (
        lambda: f"{_word(rng)}-{_word(rng)}",
        lambda: f"{_word(rng)}_{_number(rng)}",
        lambda: f"{_word(rng)}.{_word(rng)}.{_word(rng)}",
        lambda: _word(rng),
        lambda: _number(rng),
        lambda: f"{_word(rng)}{_word(rng).title()}",
        lambda: _uuid(rng),
        lambda: f"{_word(rng)}_{_number(rng)}_{_number(rng)}_m_{_number(rng)}",
    )
    return rng.choice(forms)()


def _hex(rng: random.Random) -> str:
    return f"0x{rng.getrandbits(rng.choice((16, 32, 48))):x}"


def _uuid(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _ip(rng: random.Random) -> str:
    return ".".join(str(rng.randrange(1, 255)) for _ in range(4))


def _host(rng: random.Random) -> str:
    name = f"{_word(rng)}{rng.choice(('', '-', ''))}{rng.randrange(90)}"
    return name + rng.choice(("", "", ".example.com", ".internal", f".{_word(rng)}.net"))


def _path(rng: random.Random) -> str:
    middle = "/".join(_word(rng) for _ in range(rng.randrange(1, 4)))
    end = rng.choice(("", f"/{_id(rng)}", f"/{_word(rng)}.{rng.choice(_ENDS)}"))
    return f"/{rng.choice(_TOP)}/{middle}{end}"


def _size(rng: random.Random) -> str:
    unit = rng.choice(("B", "KB", "MB", "GB", "MiB"))
    return f"{rng.randrange(1, 999)}.{rng.randrange(10)} {unit}"


def _mac(rng: random.Random) -> str:
    return ":".join(f"{rng.getrandbits(8):02x}" for _ in range(6))


def _file(rng: random.Random) -> str:
    return f"{_word(rng)}_{_word(rng)}.{rng.choice(('c', 'cpp', 'go', 'py', 'ts', 'rs'))}"


def _time(rng: random.Random) -> str:
    month, day, hour, minute = (rng.randrange(1, 9) for _ in range(4))
    return f"2026-0{month}-1{day} 0{hour}:1{minute}:2{rng.randrange(9)}"


_DEVICES = ("sda", "sdb1", "nvme0n1", "dm-3", "md0", "/dev/sdc", "hdd")
_INTERFACES = (
    "eth0", "eth1", "ens192", "wlan0", "bond0", "Gi0/1", "xe-0/0/1", "port 7", "en0",
)  # fmt: skip
_NODES = ("node", "cn", "gpu", "r", "host")

SLOTS: Mapping[str, Callable[[random.Random], str]] = {
    "n": _number,
    "ms": _number,
    "port": lambda rng: str(rng.randrange(1024, 65536)),
    "pct": lambda rng: f"{rng.randrange(100)}{rng.choice(('%', ' percent', '.5%'))}",
    "size": _size,
    "id": _id,
    "hex": _hex,
    "uuid": _uuid,
    "ip": _ip,
    "mac": _mac,
    "host": _host,
    "node": lambda rng: f"{rng.choice(_NODES)}{rng.randrange(500)}",
    "path": _path,
    "file": _file,
    "url": lambda rng: f"https://{_host(rng)}/{_word(rng)}/{_number(rng)}",
    "email": lambda rng: f"{rng.choice(_USERS)}@{_word(rng)}.example",
    "user": lambda rng: rng.choice(_USERS),
    "dev": lambda rng: rng.choice(_DEVICES),
    "iface": lambda rng: rng.choice(_INTERFACES),
    "pod": lambda rng: f"{_word(rng)}-{_word(rng)}-{rng.getrandbits(24):x}",
    "time": _time,
    "ver": lambda rng: f"{rng.randrange(9)}.{rng.randrange(20)}.{rng.randrange(9)}",
    "STATE": lambda rng: rng.choice(_STATES),
}
