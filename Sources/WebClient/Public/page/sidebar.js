// Conversations, newest first, and the search for users to begin one with.

import { element, oncePerFrame } from './dom.js';
import { shortTime } from './time.js';

const SEARCH_AFTER_MS = 200;

export function sidebar(roost, chats, { open }) {
  let selected = null;
  const list = element('ul', { className: 'conversations' });
  const results = element('ul', { className: 'results', hidden: true });
  const search = element('input', {
    type: 'search',
    id: 'user-search',
    placeholder: 'Find a person',
    autocomplete: 'off',
    aria: { label: 'Find a person' },
  });

  let searching = null;
  let asked = '';
  search.addEventListener('input', () => {
    clearTimeout(searching);
    asked = search.value.trim();
    results.hidden = asked === '';
    if (asked === '') return results.replaceChildren();
    searching = setTimeout(() => find(asked), SEARCH_AFTER_MS);
  });
  search.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') close();
    if (event.key === 'Enter') results.querySelector('button')?.click();
  });

  async function find(text) {
    let rows;
    try {
      const found = await roost.findUsers(text);
      rows = found.items
        .filter((user) => user.id !== chats.me)
        .map((user) => row(user, { detail: `@${user.username}`, on: () => choose(user) }));
      if (rows.length === 0) rows = [element('li', { className: 'none', textContent: 'Nobody by that name.' })];
    } catch (error) {
      rows = [element('li', { className: 'none', textContent: error.message })];
    }
    if (text === asked) results.replaceChildren(...rows);
  }

  function choose(user) {
    close();
    open(chats.withUser(user));
  }

  function close() {
    asked = '';
    search.value = '';
    results.hidden = true;
    results.replaceChildren();
  }

  /** What each conversation's row showed last, and the row. */
  const kept = new WeakMap();
  const render = oncePerFrame(() => {
    const rows = chats.list.map((conversation) => {
      const pending = chats.pending(conversation).at(-1);
      const last = pending ?? conversation.lastEvent;
      const own = pending || conversation.lastEvent?.sender === chats.me;
      const text = chats.isTyping(conversation) ? 'typing…' : last ? (own ? 'You: ' : '') + preview(last) : 'No messages yet';
      const shows = {
        detail: text,
        typing: chats.isTyping(conversation),
        when: pending?.written_at ?? conversation.lastEvent?.sent_at,
        unread: conversation.unread,
        online: chats.presence(conversation.peer.id)?.online,
        current: conversation.key === selected,
        key: conversation.key,
      };
      // A row that shows the same stays the same element: one that is replaced under a finger loses the click.
      const content = JSON.stringify([conversation.peer, shows]);
      if (kept.get(conversation)?.content !== content) {
        kept.set(conversation, { content, element: row(conversation.peer, { ...shows, on: () => open(conversation) }) });
      }
      return kept.get(conversation).element;
    });
    if (rows.length === 0 && chats.loaded) {
      rows.push(element('li', { className: 'none', textContent: 'No conversations yet. Find a person above and say hello.' }));
    }
    const same = rows.length === list.children.length && rows.every((row, index) => row === list.children[index]);
    if (!same) list.replaceChildren(...rows);
  });
  chats.addEventListener('change', render);
  render();

  const me = roost.user;
  return {
    element: element(
      'nav',
      { className: 'sidebar', aria: { label: 'Conversations' } },
      element(
        'header',
        {},
        avatar(me),
        element('strong', { className: 'me', textContent: me.display_name || me.username }),
        element('button', { type: 'button', className: 'link', textContent: 'Log out', on: { click: () => roost.logout() } }),
      ),
      element('div', { className: 'search' }, search, results),
      list,
    ),
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

function row(user, { detail, when, unread = 0, online = false, current = false, typing = false, key = '', on }) {
  return element(
    'li',
    {},
    element(
      'button',
      {
        type: 'button',
        className: 'row',
        on: { click: on },
        data: { user: user.username, key },
        aria: { current: current ? 'true' : 'false' },
      },
      avatar(user, online),
      element(
        'span',
        { className: 'who' },
        element('strong', { textContent: user.display_name || user.username }),
        element('span', { className: typing ? 'detail typing' : 'detail', textContent: detail }),
      ),
      element(
        'span',
        { className: 'aside' },
        when ? element('time', { dateTime: when, textContent: shortTime(when) }) : null,
        unread > 0 ? element('span', { className: 'unread', textContent: unread > 99 ? '99+' : String(unread), aria: { label: `${unread} unread` } }) : null,
      ),
    ),
  );
}

/** A circle with initials, in a colour that stays the same for a user. */
export function avatar(user, online = false) {
  const name = user.display_name || user.username || '?';
  const letters = name.split(/\s+/).slice(0, 2).map((word) => [...word][0] ?? '').join('').toUpperCase();
  const hue = [...String(user.id)].reduce((sum, letter) => (sum * 33 + letter.codePointAt(0)) % 65521, 7) % 8;
  return element('span', { className: `avatar tone-${hue}${online ? ' online' : ''}`, textContent: letters, aria: { hidden: 'true' } });
}

function preview(item) {
  if (item.deleted) return 'deleted message';
  const text = item.body?.text ?? '';
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
