"""What the HTTP API is measured against: FastAPI with handlers that do nothing."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

_TWIN = {
    "device": "lamp-1",
    "name": "",
    "version": 1,
    "at": 1_790_000_000_000_000,
    "reported": {},
    "desired": {"on": True, "brightness": 50, "color": {"r": 1, "g": 2, "b": 3}},
}


def make_app() -> FastAPI:
    """Return the application: a constant, nothing but a status, and a body that is read."""
    app = FastAPI()

    @app.get("/v1/twins/{device}")
    async def read(device: str) -> dict[str, object]:  # noqa: ARG001
        return _TWIN

    @app.get("/unchanged")
    async def unchanged() -> Response:
        return Response(status_code=304)

    @app.patch("/v1/twins/{device}/desired")
    async def change(device: str, request: Request) -> dict[str, object]:
        await request.json()
        return {"device": device, "version": 1, "changed": True}

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(), port=int(sys.argv[1]), http="h11", access_log=False, log_level="error")
