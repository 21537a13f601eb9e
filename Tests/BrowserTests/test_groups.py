"""Groups: making them, who is in them and as what, invites, and what members see of it."""

from selenium.webdriver.common.keys import Keys


def make_group(owner, name, *members, visibility="private"):
    owner.press('.sidebar header [aria-label="New group"]')
    owner.wait(lambda: owner.all("dialog [name=name]"))
    owner.one("dialog [name=name]").send_keys(name)
    owner.one("dialog [name=about]").send_keys("For testing")
    owner.script("const chosen = document.querySelector('dialog select'); chosen.value = arguments[0]", visibility)
    for member in members:
        owner.one("dialog .people-search").send_keys(member.username)
        owner.press(f'dialog .people-found button[data-user="{member.username}"]')
        owner.wait(lambda: any(member.name.title() in chip for chip in owner.texts("dialog .chip")))
    owner.picture("new-group")
    owner.choose("Create group")
    owner.wait(lambda: not owner.all("dialog"))
    owner.wait(lambda: owner.all("#message"))


def member_menu(person, other, action):
    person.press(f'.details .members li[data-user="{other.username}"] button')
    person.choose(action)


def test_a_group_talks(person):
    ada, bob, cy = person("ada").join(), person("bob", width=390, height=844).join(), person("cy", dark=True).join()
    make_group(ada, "Rowing", bob, cy)
    bob.open_group("Rowing")
    bob.see(".system .what", "Ada made the group “Rowing”")
    bob.see(".system .what", "Ada added you")

    # A mention, completed while writing; whom it is for sees a badge.
    box = ada.one("#message")
    box.send_keys("Hello @cy")
    ada.wait(lambda: ada.texts(".mention-list strong") == ["Cy"])
    ada.picture("mention-list")
    box.send_keys(Keys.ENTER)
    box.send_keys("and everybody", Keys.ENTER)
    cy.wait(lambda: cy.texts(".conversations .mentions") == ["@"])
    cy.picture("mentioned")
    cy.open_group("Rowing")
    cy.see(".message .mention", f"@{cy.username}")
    cy.wait(lambda: cy.texts(".conversations .mentions") == [])
    bob.see(".message .sender", "Ada")

    bob.one("#message").send_keys("hm")
    cy.one("#message").send_keys("hm")
    ada.wait(lambda: any("Bob" in text and "Cy" in text and "are writing" in text for text in ada.texts(".title .detail")))
    ada.picture("typing")
    bob.one("#message").send_keys(Keys.ENTER)
    ada.wait(lambda: ada.ticks() == ["read"], seconds=30)
    ada.press(".message.own .act")
    ada.choose("Delivered to, read by")
    ada.see(".receipts h4", "Read by 2")
    ada.picture("receipts")
    ada.script("document.body.dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }))")

    # An admin may delete what others said; a member may not.
    cy.press(".message.other .act")
    assert "Delete" not in cy.texts(".menu button")
    cy.script("document.body.dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }))")
    ada.act("hm", "Delete")
    ada.choose("Delete")
    cy.wait(lambda: "This message was deleted." in cy.messages())
    cy.picture("chat")
    bob.picture("chat")
    assert bob.script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_roles_rename_remove_ban_leave(person):
    ada, bob = person("ada").join(), person("bob", width=390, height=844).join()
    make_group(ada, "Choir", bob)
    bob.open_group("Choir")
    ada.press('.title [aria-label="Details"]')
    ada.wait(lambda: len(ada.all(".details .members li")) == 2)
    member_menu(ada, bob, "Make admin")
    bob.see(".system .what", "Ada made you an admin")

    bob.press('.title [aria-label="Details"]')
    bob.choose("Edit group")
    name = bob.one("dialog [name=name]")
    name.clear()
    name.send_keys("Chamber choir")
    bob.picture("edit-group")
    bob.choose("Save")
    ada.see(".title strong", "Chamber choir")
    ada.see(".system .what", "Bob renamed the group: it is now called “Chamber choir”")
    ada.see(".conversations strong", "Chamber choir")
    ada.picture("group-details")
    bob.picture("group-details")
    bob.choose("Close details")

    member_menu(ada, bob, "Remove")
    ada.choose("Remove")
    bob.see(".closed", "You were removed from this group.")
    bob.see(".notice", "Ada removed you from Chamber choir")
    assert not bob.one(".composer").is_displayed()
    bob.picture("removed")
    ada.see(".system .what", "You removed Bob")
    ada.write("only me now")

    # Added again he is back, without what was said meanwhile.
    ada.choose("Add people")
    ada.one("dialog .people-search").send_keys(bob.username)
    ada.press(f'dialog .people-found button[data-user="{bob.username}"]')
    ada.choose("Add")
    bob.wait(lambda: bob.one(".composer").is_displayed())
    ada.wait(lambda: not ada.all("dialog"))
    ada.write("welcome back")
    ada.see(".message .text", "welcome back")
    bob.see(".message .text", "welcome back")
    assert "only me now" not in bob.messages()

    member_menu(ada, bob, "Ban")
    ada.choose("Ban")
    bob.see(".closed", "may not come back")
    ada.choose("Banned people")
    ada.see("dialog .members strong", "Bob")
    ada.choose("Lift the ban")
    ada.see("dialog .members", "Nobody is banned")
    ada.one('dialog [aria-label="Close"]').click()

    # The last owner can't leave: the server says so, and what to do is to delete it.
    ada.choose("Leave group")
    ada.choose("Leave")
    ada.wait(lambda: any(ada.texts("dialog .problem")))
    ada.picture("last-owner")
    ada.one('dialog [aria-label="Close"]').click()
    ada.choose("Delete group")
    ada.press("dialog .primary")
    ada.see(".closed", "This group was deleted.")


def test_invites_and_public_groups(person, cluster):
    ada, bob, cy = person("ada").join(), person("bob", width=390, height=844).join(), person("cy").join()
    name = f"Open {ada.username}"
    make_group(ada, name, visibility="public")
    bob.fill("user-search", ada.username)
    bob.press(f'[data-section="public groups"] button[data-group="{name}"]')
    bob.wait(lambda: bob.all("dialog .primary"))
    bob.picture("join")
    bob.choose("Join")
    bob.wait(lambda: bob.all("#message"))
    ada.see(".system .what", "Bob joined")
    bob.write("thanks")
    ada.see(".message .text", "thanks")

    ada.press('.title [aria-label="Details"]')
    ada.choose("Invite by link")
    ada.choose("Make a link")
    ada.wait(lambda: ada.all(".invite-url"))
    link = ada.one(".invite-url").get_property("value")
    assert link.startswith(f"{cluster.url}/#/invite/")
    ada.picture("invite")
    cy.driver.get(link)
    cy.wait(lambda: cy.all("dialog .primary"))
    cy.see("dialog", name)
    cy.picture("invited")
    cy.choose("Join")
    cy.wait(lambda: cy.all("#message"))
    ada.see(".system .what", "Cy joined")
    cy.write("by invite")
    bob.see(".message .text", "by invite")

    cy.press('.title [aria-label="Details"]')
    cy.choose("Leave group")
    cy.choose("Leave")
    cy.see(".closed", "You left this group.")
    bob.see(".system .what", "Cy left")
    cy.driver.get(f"{cluster.url}/#/invite/nosuchcode")
    cy.see("dialog .problem", "does not work any more")
