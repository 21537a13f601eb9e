import signal


def test_registration_checks_while_typing_and_shows_the_servers_errors(person):
    ada = person("ada")
    ada.click("button.link", "Create an account")
    button = ada.one("button.primary")
    assert not button.is_enabled()

    ada.fill("username", "Not A Name")
    ada.fill("email", "nowhere")
    ada.fill("new_password", "short")
    ada.one("#username").click()
    ada.wait(lambda: ada.texts(".field small.fault"))
    assert any("3 to 32" in text for text in ada.texts(".field small.fault"))
    assert not button.is_enabled()
    ada.picture("register-faults")

    ada.fill("username", ada.username)
    ada.fill("email", f"{ada.username}@example.org")
    ada.fill("new_password", "password1")
    ada.wait(button.is_enabled)
    button.click()
    # Only the server knows which passwords are too common.
    ada.wait(lambda: ada.one("#new_password").get_attribute("aria-invalid") == "true")
    assert not button.is_enabled()

    ada.fill("new_password", "a long day at the lake")
    ada.wait(button.is_enabled)
    button.click()
    ada.wait(lambda: ada.all(".sidebar"))

    second = person("second")
    second.username = ada.username
    second.click("button.link", "Create an account")
    second.fill("username", ada.username)
    second.fill("email", "other-" + ada.username + "@example.org")
    second.fill("new_password", "a long day at the lake")
    second.wait(second.one("button.primary").is_enabled)
    second.one("button.primary").click()
    second.wait(lambda: second.one("#username").get_attribute("aria-invalid") == "true")
    second.picture("register-taken")


def test_two_people_chat(person):
    ada, bob = person("ada"), person("bob")
    ada.register()
    bob.register()

    ada.find(bob)
    ada.write("Good morning, Bob")
    bob.open(ada)
    bob.wait_messages(["Good morning, Bob"])
    bob.write("Good morning, Ada")
    ada.wait_messages(["Good morning, Bob", "Good morning, Ada"])
    ada.wait(lambda: ada.ticks() == ["read"])

    bob.one("#message").send_keys("I am thinking")
    ada.wait(lambda: "typing…" in ada.texts(".title .detail"))
    ada.picture("typing")
    bob.one("#message").send_keys(" about markup: <b>bold</b> & co", "\ue007")
    ada.wait_messages(["Good morning, Bob", "Good morning, Ada", "I am thinking about markup: <b>bold</b> & co"])
    assert not ada.all(".message b")
    assert "online" in ada.texts(".title .detail")

    # Reloaded in between: everything is there, and it goes on.
    bob.reload()
    bob.open(ada)
    bob.wait_messages(ada.messages())
    ada.write("Still there?")
    bob.wait(lambda: bob.messages()[-1] == "Still there?")
    bob.write("Yes")
    ada.wait(lambda: ada.messages()[-1] == "Yes")
    ada.picture("chat")
    bob.picture("chat")


def test_what_was_written_to_someone_away_is_there_when_they_come_back(person, cluster):
    ada, bob = person("ada"), person("bob")
    ada.register()
    bob.register()
    ada.find(bob)
    ada.write("first")
    ada.wait(lambda: ada.ticks() in (["sent"], ["delivered"]))

    bob.driver.get("about:blank")
    ada.wait(lambda: any("last seen" in text for text in ada.texts(".title .detail")))
    for number in range(5):
        ada.write(f"while you were away {number}")
    expected = ["first"] + [f"while you were away {number}" for number in range(5)]
    ada.wait_messages(expected)
    ada.wait(lambda: ada.ticks()[-1] == "sent")
    ada.picture("away")

    bob.driver.get(cluster.url)
    bob.wait(lambda: bob.all(".sidebar"))
    bob.wait(lambda: bob.texts(".unread") == ["6"])
    bob.picture("unread")
    bob.open(ada)
    bob.wait_messages(expected)
    ada.wait(lambda: set(ada.ticks()) == {"read"})


def test_the_outbox_survives_a_reload_and_the_page_says_how_the_connection_is(person, cluster):
    ada, bob = person("ada"), person("bob")
    ada.register()
    bob.register()
    ada.find(bob)
    ada.write("before")
    ada.wait(lambda: "waiting" not in ada.ticks())

    # Both chat nodes hang: connections stay open and nothing answers.
    cluster.signal("chat", signal.SIGSTOP)
    try:
        ada.write("written into the void")
        ada.wait(lambda: ada.ticks()[-1] == "waiting")
        ada.reload()
        ada.wait(lambda: not ada.one(".connection").get_property("hidden"))
        ada.open(bob)
        ada.wait_messages(["before", "written into the void"])
        assert ada.ticks()[-1] == "waiting"
        ada.picture("offline")
    finally:
        cluster.signal("chat", signal.SIGCONT)
    ada.wait(lambda: "waiting" not in ada.ticks(), seconds=60)
    ada.wait_messages(["before", "written into the void"])
    bob.open(ada)
    bob.wait(lambda: bob.messages() == ["before", "written into the void"], seconds=60)


def test_a_node_is_killed_and_the_chat_goes_on(person, cluster):
    ada, bob = person("ada"), person("bob")
    ada.register()
    bob.register()
    ada.find(bob)
    ada.write("one")
    bob.open(ada)
    bob.wait_messages(["one"])
    cluster.signal("chat", signal.SIGKILL)
    ada.write("two")
    bob.write("three")
    ada.wait(lambda: sorted(ada.messages()) == ["one", "three", "two"], seconds=60)
    bob.wait(lambda: bob.messages() == ada.messages(), seconds=60)
    ada.wait(lambda: "waiting" not in ada.ticks(), seconds=60)


def test_on_a_phone(person):
    ada, bob = person("ada", width=390, height=844), person("bob", width=390, height=844)
    ada.register()
    bob.register()
    ada.find(bob)
    ada.write("On the train, typing with one thumb, so this line had better wrap within the bubble.")
    bob.open(ada)
    bob.write("It does.")
    ada.wait(lambda: ada.messages()[-1:] == ["It does."])
    overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert ada.driver.execute_script(overflow) <= 0
    ada.picture("phone-conversation")
    ada.one(".back").click()
    ada.wait(lambda: ada.one(".conversations").is_displayed())
    ada.picture("phone-list")
