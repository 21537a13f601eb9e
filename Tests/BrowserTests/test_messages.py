"""What one does with a message, between two people, at a desk and on a phone."""

import time

from selenium.webdriver.common.keys import Keys

UP, ESCAPE = Keys.ARROW_UP, Keys.ESCAPE


def two(person, **second):
    ada, bob = person("ada").join(), person("bob", **second).join()
    ada.find(bob)
    return ada, bob


def phone(ada, bob, what):
    for someone in (ada, bob):
        someone.picture(what)
        assert someone.script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_edit_delete_react_reply(person):
    ada, bob = two(person, width=390, height=844, dark=True)
    ada.write("Shall we meet at *three*?")
    bob.open(ada)
    bob.see(".message .text em", "three")

    bob.act("Shall we meet at three?", "Reply")
    bob.see(".about strong", "Answering Ada")
    bob.write("Four is better")
    ada.wait(lambda: ada.texts(".message.other .quote span") == ["Shall we meet at three?"])

    ada.act("Four is better", "thumbs up yes good like")
    bob.wait(lambda: bob.script("return document.querySelector('.message.own .reaction')?.dataset.emoji") == "👍")
    bob.press('.reaction[data-emoji="👍"]')
    ada.see(".reaction .number", "2")
    ada.press('.reaction[data-emoji="👍"]')
    bob.wait(lambda: bob.script("return document.querySelector('.reaction')?.className") == "reaction mine")

    ada.act("Four is better", "Another emoji")
    ada.wait(lambda: ada.all(".emoji-picker input"))
    ada.one(".emoji-picker input").send_keys("rocket")
    ada.picture("emoji")
    ada.one(".emoji-picker input").send_keys(Keys.ENTER)
    bob.wait(lambda: bob.all('.reaction[data-emoji="🚀"]'))

    # By keyboard: from the list of messages to the newest, and its menu.
    ada.one(".messages").send_keys(UP)
    ada.wait(lambda: ada.script("return document.activeElement.className") == "act")
    ada.driver.switch_to.active_element.send_keys(Keys.ENTER)
    ada.wait(lambda: ada.all(".menu"))
    ada.driver.switch_to.active_element.send_keys(ESCAPE)
    assert not ada.all(".menu") and ada.script("return document.activeElement.className") == "act"

    ada.one("#message").send_keys(UP)
    ada.see(".about strong", "Editing")
    ada.one("#message").send_keys(ESCAPE)
    assert ada.one("#message").get_property("value") == ""
    ada.act("Shall we meet at three?", "Edit")
    ada.one("#message").clear()
    ada.write("Shall we meet at **four**?")
    bob.see(".message .text strong", "four")
    bob.see(".message .edited", "edited")
    bob.see(".quote span", "Shall we meet at four?")

    ada.press(".message.own .act")
    phone(ada, bob, "message-menu")
    ada.choose("Delivered, read")
    ada.see(".receipts h4", "Read by 1")
    ada.picture("receipts")
    ada.script("document.body.dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }))")
    ada.act("Shall we meet at four?", "Delete")
    ada.choose("Delete")
    bob.wait(lambda: bob.messages() == ["This message was deleted.", "Four is better"])
    ada.wait_messages(bob.messages())
    bob.see(".quote span", "This message was deleted.")
    phone(ada, bob, "amended")
    ada.reload()
    ada.open(bob)
    ada.wait_messages(["This message was deleted.", "Four is better"])
    ada.wait(lambda: len(ada.all(".reaction")) == 2)


def test_drafts_lines_and_formats(person):
    ada, bob = two(person)
    cy = person("cy", width=390, height=844).join()
    box = ada.one("#message")
    box.send_keys("one", Keys.SHIFT, Keys.ENTER, Keys.NULL, "two")
    ada.find(cy)
    ada.see(".conversations .detail", "Draft: one two")
    assert ada.one("#message").get_property("value") == ""
    ada.write("- a list\n".replace("\n", Keys.SHIFT + Keys.ENTER + Keys.NULL) + "- with `code`")
    cy.open(ada)
    cy.wait(lambda: cy.texts(".message .text li") == ["a list", "with code"])
    cy.picture("markdown")
    ada.reload()
    ada.open(bob)
    assert ada.one("#message").get_property("value") == "one\ntwo"
    ada.picture("draft")
    ada.one("#message").send_keys(Keys.ENTER)
    bob.open(ada)
    bob.wait_messages(["one\ntwo"])
    assert ada.one("#message").get_property("value") == "" and not ada.texts(".draft")
    # Larger than a message may be: said before it is sent.
    ada.script("const box = document.querySelector('#message'); box.value = 'é'.repeat(9000); box.dispatchEvent(new Event('input'))")
    ada.see(".composer .fault", "Too long by 1616 bytes")
    assert not ada.one(".send").is_enabled()


def fill(cluster, sender, conversation, texts):
    for number, text in enumerate(texts):
        body = {"conversation": conversation, "client_id": f"fill-{number}-{time.time_ns()}", "body": {"text": text}}
        cluster.post("/message-service/v1/messages", body, sender.token)


def test_long_history(person, cluster):
    ada, bob = two(person)
    ada.write("the first of many")
    ada.wait(lambda: "waiting" not in ada.ticks())
    conversation = ada.script("return document.querySelector('.conversations button').dataset.key")
    fill(cluster, ada, conversation, [f"straw {number}" for number in range(160)])

    bob.wait(lambda: bob.texts(".conversations .unread") == ["99+"])
    # What came live is there already; a fresh page has to ask for it.
    bob.reload()
    bob.open(ada)
    bob.see(".message .text", "straw 159")
    at_end = "const list = document.querySelector('.messages'); return list.scrollHeight - list.scrollTop - list.clientHeight < 80"
    bob.wait(lambda: bob.script(at_end))
    # Up a page: what is being read stays where it is while older messages come in above it.
    before = bob.script(
        """const list = document.querySelector('.messages'); list.scrollTop = 200;
        window.watched = [...list.querySelectorAll('.message')].find((row) => row.offsetTop > list.scrollTop);
        return [watched.dataset.seq, watched.offsetTop - list.scrollTop]"""
    )
    bob.wait(lambda: bob.script("return [...document.querySelectorAll('.message')].findIndex((row) => row.dataset.seq === arguments[0]) > 25", before[0]))
    after = bob.script(
        """const list = document.querySelector('.messages'), row = list.querySelector(`[data-seq="${arguments[0]}"]`);
        return row.offsetTop - list.scrollTop""", before[0]
    )
    assert abs(after - before[1]) <= 2
    assert bob.one(".to-newest").is_displayed()
    ada.write("a new one")
    bob.see(".to-newest", "1 new")
    bob.picture("scrolled")
    bob.one(".to-newest").click()
    bob.wait(lambda: bob.script(at_end))
    ada.wait(lambda: ada.ticks()[-1] == "read")


def test_two_devices_of_one_person(person):
    ada, bob = two(person)
    other = ada.second_device(person("other", width=390, height=844))
    ada.write("from the desk")
    other.open(bob)
    other.wait_messages(["from the desk"])
    other.write("from the phone")
    ada.wait_messages(["from the desk", "from the phone"])
    other.act("from the phone", "Edit")
    other.one("#message").clear()
    other.write("from the *phone*")
    ada.see(".message .text em", "phone")

    other.one(".back").click()
    ada.driver.get("about:blank")
    bob.open(ada)
    bob.write("unread so far")
    other.wait(lambda: other.texts(".unread") == ["1"])
    other.picture("unread")
    ada.driver.get(ada.cluster.url)
    ada.wait(lambda: ada.texts(".unread") == ["1"])
    ada.open(bob)
    other.wait(lambda: other.texts(".unread") == [])

    ada.press('.title [aria-label="Details"]')
    ada.choose("Mute")
    ada.choose("For 8 hours")
    other.wait(lambda: other.all(".conversations .muted"))
    ada.picture("details")
    ada.choose("Unmute")
    other.wait(lambda: not other.all(".conversations .muted"))


def test_a_blocked_person_cannot_write(person):
    ada, bob = two(person)
    ada.write("hello")
    bob.open(ada)
    bob.wait_messages(["hello"])
    bob.press('.title [aria-label="Details"]')
    bob.choose("Block")
    bob.picture("block")
    bob.choose("Block")
    bob.see(".details .detail", "Can not write to you")
    ada.write("are you there?")
    ada.see(".refusal", "Not sent:")
    ada.picture("refused")
    bob.choose("Unblock")
    bob.wait(lambda: "Can not write to you" not in bob.texts(".details .detail"))
    ada.press(".refusal button")
    bob.wait_messages(["hello", "are you there?"])


def test_settings(person):
    ada, bob = two(person, width=390, height=844)
    other = ada.second_device(person("other"))
    ada.press(".sidebar .me")
    name = ada.one('[name="display_name"]')
    name.clear()
    name.send_keys("Ada Lovelace")
    ada.one('[name="about"]').send_keys("Counting engines")
    ada.choose("Save")
    ada.see(".notice", "Saved")
    ada.see(".sidebar .me", "Ada Lovelace")
    ada.choose("Privacy")
    ada.picture("privacy")
    ada.press('[name="read_receipts"]')
    ada.choose("Save")
    ada.wait(lambda: ada.script("return JSON.parse(localStorage['roost.session']).user.read_receipts") is False)
    ada.choose("Devices")
    ada.see(".devices strong", "Second")
    ada.picture("devices")
    ada.choose("Log out Second")
    other.wait(lambda: other.all("#login-form"))
    ada.choose("Password")
    ada.one('[name="current"]').send_keys("not it at all")
    ada.one('[name="new"]').send_keys("another day at the lake")
    ada.choose("Change password")
    ada.wait(lambda: any(ada.texts("dialog .problem")))
    ada.picture("password")
    ada.one('[name="current"]').clear()
    ada.one('[name="current"]').send_keys("a long day at the lake")
    ada.choose("Change password")
    ada.see(".notice", "The password is changed")
    ada.one('dialog [aria-label="Close"]').click()
    # Who opens a conversation with them sees who they are now.
    bob.find(ada)
    bob.press('.title [aria-label="Details"]')
    bob.see(".details .about-text", "Counting engines")
    bob.picture("person")


def test_what_fails_says_what_to_do(person):
    ada, bob = two(person)
    ada.write("hello")
    ada.wait(lambda: "waiting" not in ada.ticks())
    answers = {
        "rate_limited": ("429", {"Retry-After": "7"}, "Try again in 7 s"),
        "forbidden": ("403", {}, "You may not do that here."),
        "unavailable": ("503", {"Retry-After": "3"}, "Try again in 3 s"),
    }
    ada.press('.title [aria-label="Details"]')
    for code, (status, headers, said) in answers.items():
        ada.script(
            """window.realFetch ??= window.fetch;
            window.fetch = async () => new Response(JSON.stringify({ code: arguments[0], status: Number(arguments[1]), detail: arguments[0] === 'forbidden' ? 'You may not do that here.' : 'It is too busy' }),
                { status: Number(arguments[1]), headers: arguments[2] })""",
            code, status, headers,
        )
        ada.choose("Mute")
        ada.choose("For an hour")
        ada.see(".notice", said)
    ada.script("window.fetch = async () => { throw new TypeError('no network') }")
    ada.choose("Mute")
    ada.choose("For an hour")
    ada.see(".notice", "Try again when you are back online")
    ada.picture("errors")
    ada.script("window.fetch = window.realFetch")
