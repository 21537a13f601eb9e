"""The API's page."""

import json

import pytest
from selenium.webdriver.common.by import By


@pytest.mark.parametrize("width", [1280, 390])
def test_the_api_can_be_read_and_tried(person, cluster, width):
    reader = person(f"reader-{width}", width=width)
    reader.driver.get(cluster.url + "/docs")
    reader.wait(lambda: reader.all(".operation"))
    document = json.loads(reader.driver.execute_script("return fetch('/openapi.json').then((answer) => answer.text())"))
    operations = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    shown = reader.driver.execute_script("return [...document.querySelectorAll('.operation')].map((one) => one.id)")
    assert sorted(shown) == sorted(operations)

    def send(operation, body=None):
        reader.driver.execute_script("location.hash = arguments[0]", operation)
        reader.wait(lambda: reader.all(f"#{operation} form"))
        if body:
            reader.driver.execute_script(
                "document.querySelector(arguments[0]).value = arguments[1]", f"#{operation} textarea", json.dumps(body)
            )
        reader.press(f"#{operation} button[type=submit]")
        reader.wait(lambda: reader.all(f"#{operation} .result .status"))
        return reader.one(f"#{operation} .result")

    body = {"username": reader.username, "email": f"{reader.username}@example.org", "password": "a long day at the lake"}
    assert "201" in send("register", body).text
    reader.press("#register .result button.link")
    assert reader.username in send("getMe").text
    # The schema of an answer, and what is nested in it.
    reader.press("#register .response summary")
    reader.wait(lambda: reader.all("#register .response .members"))
    reader.press("#register .response .members details summary")
    reader.wait(lambda: "last_seen_visibility" in reader.one("#register .response").find_element(By.CSS_SELECTOR, ".members .members").text)
    assert reader.driver.execute_script("return document.documentElement.scrollWidth") <= width
    reader.picture(f"docs-{width}")
