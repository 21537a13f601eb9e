"""A cluster for the whole run, and somebody in it who has a bit of everything."""

import json
import os
import secrets
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120
PASSWORD = "a long day at the lake"


class Cluster:
    """`roost up` without limits, or the cluster whose data directory ROOST_DATA_DIR names."""

    def __init__(self, directory, process=None):
        self.directory = Path(directory)
        self.process = process
        file = json.loads((self.directory / "cluster.json").read_text())
        self.url = file["gateway"]
        self.admin = file["admin_token"]

    @classmethod
    def start(cls, directory):
        executable = os.environ.get("ROOST", str(ROOT / ".build/debug/roost"))
        process = subprocess.Popen(
            [executable, "up", "--port", "0", "--data-dir", directory, "--chat-nodes", "2", "--no-limits"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "ROOST_SCRYPT_LOG_N": "4"},
        )
        lines, ready = [], threading.Event()

        def read():
            for line in process.stdout:
                lines.append(line.rstrip())
                if line.startswith("ready "):
                    ready.set()

        threading.Thread(target=read, daemon=True).start()
        deadline = time.monotonic() + START_SECONDS
        while not ready.wait(0.2):
            if process.poll() is not None or time.monotonic() > deadline:
                cls.end(process)
                raise RuntimeError("the cluster did not get ready:\n" + "\n".join(lines))
        return cls(directory, process)

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()

    def stop(self):
        if self.process:
            self.end(self.process)


class Account:
    """Somebody who is logged in."""

    def __init__(self, cluster, answer):
        self.cluster = cluster
        self.id = answer["user"]["id"]
        self.username = answer["user"]["username"]
        self.device = answer["device"]["id"]
        self.token = answer["access_token"]
        self.refresh_token = answer["refresh_token"]
        self.session = requests.Session()

    @classmethod
    def register(cls, cluster, name):
        username = f"{name}-{secrets.token_hex(4)}"
        body = {"username": username, "email": f"{username}@example.org", "password": PASSWORD}
        answer = requests.post(f"{cluster.url}/user-service/v1/users", json=body, timeout=30)
        answer.raise_for_status()
        return cls(cluster, answer.json())

    def log_in(self):
        """The same user on a new device."""
        body = {"login": self.username, "password": PASSWORD}
        answer = requests.post(f"{self.cluster.url}/user-service/v1/sessions", json=body, timeout=30)
        answer.raise_for_status()
        return Account(self.cluster, answer.json())

    def call(self, method, path, body=None):
        return self.session.request(
            method, self.cluster.url + path, json=body, headers={"Authorization": f"Bearer {self.token}"}, timeout=30
        )

    def json(self, method, path, body=None):
        answer = self.call(method, path, body)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None


@pytest.fixture(scope="session")
def cluster():
    if directory := os.environ.get("ROOST_DATA_DIR"):
        yield Cluster(directory)
        return
    with tempfile.TemporaryDirectory(prefix="roost-api-", ignore_cleanup_errors=True) as directory:
        os.chmod(directory, 0o755)
        running = Cluster.start(directory)
        yield running
        running.stop()
