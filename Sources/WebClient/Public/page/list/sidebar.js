// The user's conversations, newest first, and the search above them.

import { avatar, nameOf } from '../avatar.js';
import { button, element, oncePerFrame, reconcile } from '../dom.js';
import { icon } from '../icons.js';
import { menu } from '../popover.js';
import { preview, short, typingLine } from '../wording.js';
import { row } from './row.js';
import { searchBox } from './search.js';

/** @param {object} owner {open(conversation, {seq}), newGroup(), settings(), openGroup(group)} */
export function sidebar(roost, chats, owner) {
  let selected = null;
  const list = element('ul', { className: 'conversations', aria: { label: 'Conversations' } });
  const search = searchBox(roost, chats, owner, (searching) => {
    list.hidden = searching;
  });

  /** What each conversation's row showed last, and the row. */
  const kept = new WeakMap();
  const none = element('li', { className: 'none', textContent: 'No conversations yet. Find a person above and say hello.' });
  const render = oncePerFrame(() => {
    document.title = chats.unread > 0 ? `(${chats.unread}) Roost` : 'Roost';
    const rows = chats.list.map((conversation) => {
      const shows = shown(conversation);
      // A row that shows the same stays the same element: one that is replaced under a finger loses the click.
      const content = JSON.stringify([conversation.subject, shows]);
      if (kept.get(conversation)?.content !== content) {
        const made = row(conversation.subject, { ...shows, on: () => owner.open(conversation) });
        const focused = kept.get(conversation)?.element.contains(document.activeElement);
        kept.set(conversation, { content, element: made, focused });
      }
      return kept.get(conversation);
    });
    reconcile(list, rows.length === 0 && chats.loaded ? [none] : rows.map(({ element: made }) => made));
    const lost = rows.find(({ focused }) => focused);
    if (lost) lost.element.firstElementChild.focus();
    for (const entry of rows) entry.focused = false;
  });

  function shown(conversation) {
    const { me, people } = chats;
    const { isGroup, typing, key } = conversation;
    const pending = chats.pending(conversation).at(-1);
    const last = pending ?? conversation.lastEvent;
    const draft = key === selected ? null : chats.drafts.get(key);
    let detail;
    if (typing.length > 0) detail = isGroup ? typingLine(typing.map((user) => people.name(user))) : 'typing…';
    else if (conversation.gone && !draft) detail = 'You are no longer in this group';
    else detail = draft?.text ? short(draft.text) : preview(last, { people, me, isGroup });
    return {
      detail,
      draft: Boolean(draft?.text) && typing.length === 0,
      typing: typing.length > 0,
      when: pending?.written_at ?? conversation.lastEvent?.sent_at,
      unread: conversation.unread,
      mentions: conversation.mentions,
      muted: conversation.muted,
      group: isGroup,
      online: !isGroup && Boolean(people.presence(conversation.peer.id)?.online),
      current: key === selected,
      key,
    };
  }

  list.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const buttons = [...list.querySelectorAll('button')];
    buttons[buttons.indexOf(document.activeElement) + step]?.focus();
  });

  const header = element('header', {});
  const renderHeader = () => {
    const me = roost.user;
    if (!me) return;
    const more = button(icon('dots'), {
      label: 'Menu',
      className: 'icon',
      ariaHasPopup: 'menu',
      on: () =>
        menu(
          more,
          [
            { text: 'New group', action: () => owner.newGroup() },
            { text: 'Settings', action: () => owner.settings() },
            { text: 'Log out', action: () => roost.logout() },
          ],
          { label: 'Menu' },
        ),
    });
    header.replaceChildren(
      element('button', { type: 'button', className: 'me', on: { click: () => owner.settings() }, aria: { label: `${nameOf(me)}: settings` } }, avatar(me), element('strong', { textContent: nameOf(me) })),
      button(icon('plus'), { label: 'New group', className: 'icon', on: () => owner.newGroup() }),
      more,
    );
  };
  chats.addEventListener('change', render);
  roost.addEventListener('profile', renderHeader);
  renderHeader();
  render();

  return {
    element: element('nav', { className: 'sidebar', aria: { label: 'Conversations' } }, header, search.element, search.results, list),
    select(key) {
      selected = key;
      render();
    },
    renamed({ from, to }) {
      if (selected === from) selected = to;
      render();
    },
  };
}
