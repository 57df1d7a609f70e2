"""How far each topic's partition has been archived. Only says where to read on: what was archived
already, the names of the files tell."""

import orjson

from stream_filter.core.errors import StreamFilterError
from stream_filter.store.folder import Folder


def progress_name(topic: str, partition: int) -> str:
    """Where it stands in the store."""
    return f"progress/{topic}-{partition}.json"


def save_progress(folder: Folder, topic: str, partition: int, next_offset: int) -> None:
    """After the files are there."""
    document = {"topic": topic, "partition": partition, "next": next_offset}
    folder.put(progress_name(topic, partition), orjson.dumps(document))


def load_progress(folder: Folder, topic: str, partition: int) -> int:
    """The first offset that was not archived; 0 where nothing was. Raises StreamFilterError."""
    name = progress_name(topic, partition)
    data = folder.read(name)
    if data is None:
        return 0
    try:
        return int(orjson.loads(data)["next"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise StreamFilterError(
            f"store: {name} is damaged: delete it; the topic is then read from its beginning, and "
            "nothing is archived twice"
        ) from error
