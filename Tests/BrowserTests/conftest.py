"""A cluster for the whole run, and browsers for each test."""

import json
import os
import re
import secrets
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = Path(os.environ.get("ROOST_SCREENSHOTS", ROOT / ".build/screenshots"))
START_SECONDS = 120
PATIENCE = 20


class Cluster:
    def __init__(self, directory):
        self.directory = Path(directory)
        executable = os.environ.get("ROOST", str(ROOT / ".build/debug/roost"))
        self.process = subprocess.Popen(
            [executable, "up", "--port", "0", "--data-dir", directory, "--chat-nodes", "2"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        self.lines = []
        self.ready = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        deadline = time.monotonic() + START_SECONDS
        while not self.ready.wait(0.2):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("the cluster did not get ready:\n" + "\n".join(self.lines))
        self.url = self.file["gateway"]

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith("ready "):
                self.ready.set()

    @property
    def file(self):
        return json.loads((self.directory / "cluster.json").read_text())

    def pids(self, role):
        return [part["pid"] for part in self.file["processes"] if part["role"] == role]

    def signal(self, role, number):
        for pid in self.pids(role):
            os.kill(pid, number)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()


@pytest.fixture(scope="session")
def cluster():
    with tempfile.TemporaryDirectory(prefix="roost-browser-", ignore_cleanup_errors=True) as directory:
        os.chmod(directory, 0o755)
        running = Cluster(directory)
        yield running
        running.stop()


class Person:
    """Somebody at a browser of their own."""

    def __init__(self, cluster, name, width=1280, height=800):
        self.cluster = cluster
        self.name = name
        self.username = f"{name}-{secrets.token_hex(4)}"
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        # The window's own minimum width is above a phone's: the page is told its size instead.
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
        )
        self.driver.get(cluster.url)

    # What a person does

    def register(self):
        self.click("button.link", "Create an account")
        self.fill("username", self.username)
        self.fill("email", f"{self.username}@example.org")
        self.fill("display_name", self.name.title())
        self.fill("new_password", "a long day at the lake")
        self.wait(lambda: self.one("button.primary").is_enabled())
        self.one("button.primary").click()
        self.wait(lambda: self.all(".sidebar"))
        self.wait_online()

    def fill(self, field, text):
        box = self.driver.find_element(By.ID, field)
        box.clear()
        box.send_keys(text)

    def find(self, other):
        self.fill("user-search", other.username)
        self.press(f'.results button[data-user="{other.username}"]')
        self.wait(lambda: self.all("#message"))

    def open(self, other):
        self.press(f'.conversations button[data-user="{other.username}"]')
        self.wait(lambda: self.all("#message"))

    def press(self, selector):
        """Clicks what the selector finds, when it finds it: in one go, since the page may replace it at any time."""
        click = "const found = document.querySelector(arguments[0]); found?.click(); return Boolean(found)"
        self.wait(lambda: self.driver.execute_script(click, selector))

    def write(self, text):
        self.one("#message").send_keys(text, Keys.ENTER)

    def reload(self):
        self.driver.refresh()
        self.wait(lambda: self.all(".sidebar"))

    # What a person sees

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def click(self, selector, text):
        next(found for found in self.all(selector) if found.text == text).click()

    def texts(self, selector):
        # Read in one go: the page may replace the elements between two calls.
        return self.driver.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map((found) => found.textContent)", selector
        )

    def messages(self):
        return self.texts(".message .text")

    def ticks(self):
        return self.driver.execute_script(
            "return [...document.querySelectorAll('.message.own .tick')].map((tick) => tick.className.replace('tick ', ''))"
        )

    def wait(self, condition, seconds=PATIENCE):
        return WebDriverWait(self.driver, seconds, poll_frequency=0.1).until(lambda _: condition())

    def wait_online(self):
        self.wait(lambda: self.driver.execute_script("return document.querySelector('.connection')?.hidden === true"))

    def wait_messages(self, expected):
        try:
            self.wait(lambda: self.messages() == expected)
        except Exception as error:
            self.picture("failed")
            raise AssertionError(f"{self.name} sees {self.messages()}, not {expected}") from error

    def picture(self, what):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / re.sub(r"[^a-z0-9-]+", "-", f"{what}-{self.name}".lower())
        self.driver.save_screenshot(f"{path}.png")

    def faults(self):
        """What the browser's console holds against the page. A refused request is the page's own business."""
        return [
            entry["message"] for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE" and "Failed to load resource" not in entry["message"] and "WebSocket connection" not in entry["message"]
        ]

    def leave(self):
        self.driver.quit()


@pytest.fixture
def person(cluster):
    people = []

    def make(name, **size):
        people.append(Person(cluster, name, **size))
        return people[-1]

    yield make
    faults = {someone.name: someone.faults() for someone in people if someone.driver.session_id}
    for someone in people:
        someone.leave()
    assert not any(faults.values()), faults
