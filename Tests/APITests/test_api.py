"""Holds the REST interface to its OpenAPI document: schemathesis makes requests of it, right ones and wrong ones, and
checks every answer against what is documented. The seed is fixed: a run makes the same requests as the one before.

    ROOST_DATA_DIR=.roost pytest Tests/APITests -k pollEvents     on a cluster that runs already
"""

import base64
import collections
import itertools
import os
import socket
import time

import pytest
import requests
import schemathesis
from conftest import PASSWORD, ROOT, Account
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation

config = SchemathesisConfig.from_path(ROOT / "Tests/APITests/schemathesis.toml")
schema = schemathesis.openapi.from_path(ROOT / "Sources/WebClient/Public/openapi.json", config=config)
operations = {found.definition.raw["operationId"]: found for found in (each.ok() for each in schema.get_all_operations())}

# Not fuzzed: it never ends. `test_nodes_as_they_change` has it.
ENDLESS = ["followNodes"]

# What each call answered, to know that it did what it is for and not only refuse.
answered = collections.defaultdict(set)


class World:
    """What there is, so that requests can be about something that exists."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.numbers = itertools.count()
        self.ada, self.bob, self.eve = (Account.register(cluster, name) for name in ("ada", "bob", "eve"))
        self.direct = self.send("/message-service", {"to": self.bob.id})["conversation"]
        self.group, self.inviting = self.new_group(), self.new_group()
        self.invite = self.new_invite()
        for _ in range(3):
            self.send("/message-service", {"conversation": self.direct})
            self.send("/group-message-service", {"conversation": self.group})

    def new_group(self):
        body = {"name": "Rowing club", "visibility": "public", "members": [self.bob.id]}
        return self.ada.json("POST", "/group-service/v1/groups", body)["id"]

    def new_invite(self):
        return self.ada.json("POST", f"/group-service/v1/groups/{self.inviting}/invites", {})["code"]

    def send(self, service, where):
        body = {**where, "client_id": f"world-{next(self.numbers)}", "body": {"text": "the lake is calm"}}
        return self.ada.json("POST", f"{service}/v1/messages", body)

    def parameters(self, operation):
        """A path that leads somewhere. What the call ends, is made for it."""
        path, method = operation.path, operation.method
        found = {}
        if "{user}" in path:
            found["user"] = self.eve.id if "/bans/" in path or "/members/" in path else self.bob.id
        if "{device}" in path:
            found["device"] = "current"
        if "{group}" in path:
            ends = method == "delete" and path.endswith("/groups/{group}")
            found["group"] = self.new_group() if ends else self.group
        if "{invite}" in path:
            found["group"] = self.inviting
            found["invite"] = self.new_invite() if method == "delete" else self.invite
        if "{conversation}" in path:
            in_group = path.startswith("/group-")
            found["conversation"] = self.group if in_group else self.direct
            if "{message}" in path:
                service = "/group-message-service" if in_group else "/message-service"
                found["message"] = self.send(service, {"conversation": found["conversation"]})["id"]
        if "{emoji}" in path:
            found["emoji"] = "👍"
            if method == "delete":
                self.ada.call("PUT", path.format(**{**found, "emoji": "%F0%9F%91%8D"}))
        return found

    def token(self, operation):
        """Who asks. A call that ends the asker's session gets one of its own."""
        security = operation.definition.raw.get("security")
        if security == []:
            return None
        if security == [{"admin": []}]:
            return self.cluster.admin
        if operation.definition.raw["operationId"] == "logOut":
            return self.eve.log_in().token
        return self.ada.token

    def check(self, case, token, **more):
        """Makes the call, and holds its answer to the document."""
        headers = {"Authorization": f"Bearer {token}"} if token else None
        answer = case.call_and_validate(base_url=self.cluster.url, headers=headers, timeout=30, **more)
        if case.method.lower() == case.operation.method:
            answered[case.operation.definition.raw["operationId"]].add(str(answer.status_code))
        return answer

    def call(self, operation, token, status, **parts):
        """One certain call, and the status that it must have."""
        case = operations[operation].Case(**parts)
        answer = self.check(case, token)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None


@pytest.fixture(scope="session")
def world(cluster):
    return World(cluster)


@schema.exclude(operation_id=ENDLESS).parametrize()
@settings(
    max_examples=int(os.environ.get("ROOST_API_EXAMPLES", "25")), derandomize=True, database=None, deadline=None,
    suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate],
)
def test_the_document_holds(world, case):
    if not (case.meta and case.meta.is_negative_at(ParameterLocation.PATH)) and next(world.numbers) % 4:
        # Most made-up ids name nothing: only some requests are about that.
        known = world.parameters(case.operation)
        case.path_parameters = {name: known.get(name, value) for name, value in (case.path_parameters or {}).items()}
    if not (case.meta and case.meta.is_negative_at(ParameterLocation.QUERY)) and next(world.numbers) % 8:
        # Nor is a made-up cursor ever one of ours.
        case.query = {name: value for name, value in (case.query or {}).items() if name != "cursor"}
    world.check(case, world.token(case.operation))


def test_refresh_tokens_rotate(world):
    device = world.eve.log_in()
    tokens = [device.refresh_token]
    for _ in range(2):
        tokens.append(world.call("refreshSession", None, 200, body={"refresh_token": tokens[-1]})["refresh_token"])
    assert len(set(tokens)) == 3
    # The last but one may have been lost on its way: it is answered again. One from before that was stolen.
    world.call("refreshSession", None, 401, body={"refresh_token": tokens[0]})
    world.call("refreshSession", None, 401, body={"refresh_token": tokens[-1]})


def test_a_device_logs_another_one_out(world):
    here, there = world.eve.log_in(), world.eve.log_in()
    listed = world.call("listDevices", here.token, 200)["items"]
    assert {here.device, there.device} <= {device["id"] for device in listed}
    world.call("logOut", here.token, 204, path_parameters={"device": there.device})
    world.call("logOut", here.token, 404, path_parameters={"device": there.device})


def test_a_password_changes(world):
    someone = Account.register(world.cluster, "changer")
    changed = "another day at the lake"
    world.call("changePassword", someone.token, 403, body={"current": changed, "new": changed})
    world.call("changePassword", someone.token, 204, body={"current": PASSWORD, "new": changed})
    world.call("logIn", None, 401, body={"login": someone.username, "password": PASSWORD})
    world.call("logIn", None, 201, body={"login": someone.username, "password": changed})


@pytest.mark.parametrize("kind", ["Direct", "Group"])
def test_a_client_id_makes_one_message(world, kind):
    where = {"to": world.bob.id} if kind == "Direct" else {"conversation": world.group}
    body = {**where, "client_id": f"once-{kind}", "body": {"text": "once"}}
    first = world.call(f"send{kind}Message", world.ada.token, 201, body=body)
    again = world.call(f"send{kind}Message", world.ada.token, 200, body=body)
    assert again["id"] == first["id"]


def test_an_operator_closes_a_connection(world):
    someone = Account.register(world.cluster, "connected")
    ticket = world.call("createTicket", someone.token, 201)["ticket"]
    host, port = world.cluster.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall(
            f"GET /chat-service/v1/ws?ticket={ticket} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: roost.v1.json\r\n\r\n".encode()
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 101")
        hello = b'{"type":"hello","client":"api-tests/1"}'
        connection.sendall(bytes([0x81, 0x80 | len(hello), 0, 0, 0, 0]) + hello)  # masked with zeros
        deadline = time.monotonic() + 20
        while not (sessions := world.call("listSessions", world.cluster.admin, 200, query={"user": someone.id})["items"]):
            assert time.monotonic() < deadline, "the connection is not listed"
        world.call("closeSession", world.cluster.admin, 204, path_parameters={"session": sessions[0]["session"]})
        received = b""
        while part := connection.recv(4096):
            received += part
        assert b"\x11\x33" in received, "not closed with 4403"


def test_nodes_as_they_change(world):
    url, operation = world.cluster.url + "/discovery-service/v1/nodes/events", operations["followNodes"]
    with requests.get(url, headers={"Authorization": f"Bearer {world.cluster.admin}"}, stream=True, timeout=30) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] in operation.responses.find_by_status_code(200).definition["content"]
        assert next(answer.iter_lines()) == b"event: snapshot"
    assert requests.get(url, headers={"Authorization": f"Bearer {world.ada.token}"}, timeout=30).status_code == 403


def test_every_call_did_what_it_is_for(world):
    """Runs last: nothing above is worth much if all was refused."""
    missing = {
        name: sorted(expected)
        for name, operation in operations.items()
        if name not in ENDLESS
        and (expected := {status for status in operation.responses.status_codes if status < "300"} - answered[name])
    }
    assert not missing
