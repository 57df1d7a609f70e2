"""Whether an endpoint is there is known before anything depends on it."""

import pytest
from aiohttp import web

from stream_filter.analyst.endpoint import Endpoint, EndpointSpec, RequestFailedError
from stream_filter.analyst.reaching import check_reachable
from stream_filter.core.errors import ConfigError
from stream_filter.testing.broker_process import HOST
from stream_filter.testing.stand_in import StandIn
from stream_filter.testing.stand_in_behaviour import Behaviour, Mishap


def spec(base_url: str) -> EndpointSpec:
    return EndpointSpec(base_url=base_url, model="m", judge="m")


@pytest.mark.parametrize("mishap", [None, Mishap.MALFORMED, Mishap.TOO_MANY, Mishap.SERVER_ERROR])
async def test_whatever_answers_is_there(mishap: Mishap | None) -> None:
    """Also a busy server, or one that talks nonsense."""
    behaviour = Behaviour(mishaps=((mishap, 1.0),) if mishap else ())
    async with StandIn(lambda text: True, behaviour) as server:
        await check_reachable(spec(server.base_url))


async def test_nobody_there_is_one_line() -> None:
    """A port on which nothing listens is named, with the way out."""
    with pytest.raises(ConfigError, match=r"endpoint m: nothing .*\(unreachable\): check the"):
        await check_reachable(spec(f"http://{HOST}:1/v1"))


@pytest.mark.parametrize(
    ("status", "said"), [(401, "refuses the key"), (404, "knows no model 'm'")]
)
async def test_a_refusal_is_one_line(status: int, said: str) -> None:
    """A wrong key, model or path is found out at once."""

    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "no"}}, status=status)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    try:
        with pytest.raises(ConfigError, match=said):
            await check_reachable(spec(f"http://{HOST}:{runner.addresses[0][1]}/v1"))
    finally:
        await runner.cleanup()


async def test_why_nobody_answers_is_said_by_name() -> None:
    """An operator learns what broke, in a word of ours."""
    async with Endpoint(spec(f"http://{HOST}:1/v1")) as endpoint:
        with pytest.raises(RequestFailedError, match=r"^unreachable \(\w+Error\)$"):
            await endpoint.ask([], {}, most_tokens=1, refused=set())


async def test_what_is_no_model_is_not_there() -> None:
    """A web server that answers something else does not count."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html>hello</html>", content_type="text/html")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    try:
        with pytest.raises(ConfigError, match="nothing that speaks chat completions"):
            await check_reachable(spec(f"http://{HOST}:{runner.addresses[0][1]}/v1"))
    finally:
        await runner.cleanup()
