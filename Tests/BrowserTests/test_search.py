"""Finding a message, and being led to it."""

from test_messages import fill, two


def test_search_leads_to_the_message(person, cluster):
    ada, bob = two(person, width=390, height=844)
    ada.write("The needle is a xylophone")
    ada.wait(lambda: "waiting" not in ada.ticks())
    conversation = ada.script("return document.querySelector('.conversations button').dataset.key")
    fill(cluster, ada, conversation, [f"straw {number}" for number in range(160)])

    # A message found from a fresh page is shown with what was around it, and the way back leads to the newest.
    bob.reload()
    bob.fill("user-search", "xylophone")
    bob.wait(lambda: bob.texts('[data-section="messages"] mark'), seconds=30)
    bob.picture("search")
    bob.press('[data-section="messages"] button')
    bob.wait(lambda: bob.texts(".message.marked .text") == ["The needle is a xylophone"])
    assert "straw 159" not in bob.messages()
    bob.picture("found")
    bob.one(".to-newest").click()
    bob.see(".message .text", "straw 159")
