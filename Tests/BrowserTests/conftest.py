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
import urllib.request
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = Path(os.environ.get("ROOST_SCREENSHOTS", ROOT / ".build/screenshots"))
START_SECONDS = 120
PATIENCE = 20
PASSWORD = "a long day at the lake"


class Cluster:
    def __init__(self, directory):
        self.directory = Path(directory)
        executable = os.environ.get("ROOST", str(ROOT / ".build/debug/roost"))
        self.process = subprocess.Popen(
            [executable, "up", "--port", "0", "--data-dir", directory, "--chat-nodes", "2"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            # Passwords hashed for safety take a second each on a small machine.
            env={"ROOST_SCRYPT_LOG_N": "4", **os.environ},
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

    def post(self, path, body, token=None):
        """A REST call from outside a browser."""
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read())

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


class Browsers:
    """Browsers that were used and emptied: starting one takes longer than most tests."""

    def __init__(self):
        self.idle = []
        self.all = []

    def take(self):
        return self.idle.pop() if self.idle else self._start()

    def give_back(self, driver, origin):
        try:
            driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
            driver.get("about:blank")
            self.idle.append(driver)
        except WebDriverException:
            driver.quit()

    def _start(self):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        driver.set_script_timeout(30)
        self.all.append(driver)
        return driver

    def quit(self):
        for driver in self.all:
            driver.quit()


@pytest.fixture(scope="session")
def browsers():
    running = Browsers()
    yield running
    running.quit()


class Person:
    """Somebody at a browser of their own."""

    def __init__(self, cluster, name, driver, width=1280, height=800, dark=False):
        self.cluster = cluster
        self.name = name
        self.username = f"{name}-{secrets.token_hex(4)}"
        self.driver = driver
        # The window's own minimum width is above a phone's: the page is told its size instead.
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
        )
        self.scheme("dark" if dark else "light")
        self.driver.get(cluster.url)

    def scheme(self, name):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": name}]})

    # What a person does

    def join(self):
        """An account made over REST, and the page opened with it."""
        account = {
            "username": self.username, "email": f"{self.username}@example.org", "password": PASSWORD, "display_name": self.name.title(),
        }
        self.become(self.cluster.post("/user-service/v1/users", account))
        return self

    def become(self, answer):
        self.account = answer["user"]
        kept = {key: answer[key] for key in ("user", "device", "access_token", "refresh_token")}
        self.token = answer["access_token"]
        kept["expires_at"] = int((time.time() + answer["expires_in"]) * 1000)
        self.driver.execute_script("localStorage.setItem('roost.session', arguments[0])", json.dumps(kept))
        self.reload()
        self.wait_online()

    def second_device(self, person):
        """The same user at another browser."""
        person.username = self.username
        person.become(self.cluster.post("/user-service/v1/sessions", {"login": self.username, "password": PASSWORD, "device_name": "Second"}))
        return person

    def register(self):
        self.click("button.link", "Create an account")
        self.fill("username", self.username)
        self.fill("email", f"{self.username}@example.org")
        self.fill("display_name", self.name.title())
        self.fill("new_password", PASSWORD)
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

    def open_group(self, name):
        self.press(f'.conversations button[data-group="{name}"]')
        self.wait(lambda: self.all("#message"))

    def act(self, text, action):
        """Chooses from the menu of the message with this text."""
        find = """const row = [...document.querySelectorAll('.message')].find((row) => row.querySelector('.text').textContent === arguments[0]);
            const button = row?.querySelector('.act'); button?.click(); return Boolean(button)"""
        self.wait(lambda: self.driver.execute_script(find, text))
        self.choose(action)

    def choose(self, action):
        """Presses what bears this text (or name) in what lies on top."""
        find = """const found = ['.popover button', 'dialog[open] button', '.details button']
            .flatMap((selector) => [...document.querySelectorAll(selector)])
            .filter((button) => button.offsetParent && !button.disabled)
            .find((button) => button.textContent === arguments[0] || button.getAttribute('aria-label') === arguments[0]);
            found?.click(); return Boolean(found)"""
        self.wait(lambda: self.driver.execute_script(find, action))

    def see(self, selector, text, seconds=PATIENCE):
        """Waits until something that the selector finds has this text in it."""
        try:
            self.wait(lambda: any(text in found for found in self.texts(selector)), seconds)
        except Exception as error:
            self.picture("failed")
            raise AssertionError(f"{self.name} sees {self.texts(selector)} at {selector}, not {text!r}") from error

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

    def script(self, source, *arguments):
        return self.driver.execute_script(source, *arguments)

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


@pytest.fixture
def person(cluster, browsers):
    people = []

    def make(name, **size):
        people.append(Person(cluster, name, browsers.take(), **size))
        return people[-1]

    yield make
    faults = {someone.name: someone.faults() for someone in people}
    for someone in people:
        browsers.give_back(someone.driver, cluster.url)
    assert not any(faults.values()), faults
