"""A stand-in for a Qdrant server, for the real client to speak to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np


class QdrantAnswers(BaseHTTPRequestHandler):
    """The few calls of Qdrant's REST API that a search makes, answered by a matrix product.

    The graph grows by 100 documents a look; an approximate search finds every other of the nearest.
    """

    collections: dict[str, Any]
    keys: set[str | None]
    created: int = 0

    def _body(self) -> Any:
        self.keys.add(self.headers.get("api-key"))
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")

    def _answer(self, result: Any) -> None:
        body = json.dumps({"result": result, "status": "ok", "time": 0.0}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass

    @property
    def _name(self) -> str:
        return self.path.split("?")[0].split("/")[2]

    def do_PUT(self) -> None:
        body = self._body()
        if "/points" in self.path:
            collection = self.collections[self._name]
            collection["points"].update(zip(body["batch"]["ids"], body["batch"]["vectors"], strict=True))
            self._answer({"operation_id": 0, "status": "completed"})
        else:
            type(self).created += 1
            self.collections[self._name] = {**body, "points": {}, "indexed": 0}
            self._answer(True)

    def do_GET(self) -> None:
        self._body()
        if self.path.split("?")[0] == "/collections":
            self._answer({"collections": [{"name": name} for name in self.collections]})
            return
        collection = self.collections[self._name]
        if collection["optimizers_config"]["indexing_threshold"]:
            collection["indexed"] = min(collection["indexed"] + 100, len(collection["points"]))
        hnsw = collection["hnsw_config"]
        optimizers = {"deleted_threshold": 0.2, "vacuum_min_vector_number": 1000, "flush_interval_sec": 5}
        config = {
            "params": {"vectors": collection["vectors"]},
            "hnsw_config": hnsw,
            "optimizer_config": {**optimizers, "default_segment_number": 1},
        }
        state = {"status": "yellow", "optimizer_status": "ok", "segments_count": 1, "payload_schema": {}}
        self._answer({**state, "indexed_vectors_count": collection["indexed"], "config": config})

    def do_POST(self) -> None:
        searches = self._body()["searches"]
        points = self.collections[self._name]["points"]
        vectors = np.array([points[place] for place in range(len(points))])
        results = []
        for wanted in searches:
            scores = vectors @ np.array(wanted["query"]["nearest"])
            step = 1 if wanted["params"]["exact"] else 2
            found = np.argsort(-scores)[::step][: wanted["limit"]].tolist()
            results.append({"points": [{"id": d, "version": 0, "score": float(scores[d])} for d in found]})
        self._answer(results)

    def do_DELETE(self) -> None:
        self._body()
        self._answer(self.collections.pop(self._name) is not None)


@contextmanager
def qdrant_server() -> Iterator[tuple[str, type[QdrantAnswers]]]:
    """The URL of such a server, and what it holds."""
    handler = type("Answers", (QdrantAnswers,), {"collections": {}, "keys": set()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", handler
        finally:
            server.shutdown()
            thread.join()
