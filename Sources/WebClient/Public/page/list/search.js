// One field that finds conversations, people, public groups and messages. What fails is said in its section; the others show.

import { element } from '../dom.js';
import { explain } from '../errors.js';
import { count } from '../wording.js';
import { row } from './row.js';

const AFTER_MS = 220;
const SHOWN = 8;

/**
 * @param {object} owner {open(conversation, {seq}), openGroup(group)}
 * @param {(searching: boolean) => void} searching told when results are shown
 */
export function searchBox(roost, chats, owner, searching) {
  let timer = null;
  let asked = '';
  const results = element('div', { className: 'results', hidden: true, aria: { label: 'Search results' }, role: 'region' });
  const field = element('input', {
    type: 'search',
    id: 'user-search',
    placeholder: 'Find people, groups, messages',
    autocomplete: 'off',
    spellcheck: false,
    aria: { label: 'Find people, groups and messages' },
  });

  field.addEventListener('input', () => {
    clearTimeout(timer);
    asked = field.value.trim();
    if (asked === '') return close();
    timer = setTimeout(() => find(asked), AFTER_MS);
  });
  field.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') close();
    if (event.key === 'Enter') results.querySelector('button')?.click();
    if (event.key === 'ArrowDown') {
      event.preventDefault();
      results.querySelector('button')?.focus();
    }
  });
  results.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === 'Escape') {
      close();
      field.focus();
    }
    if (!step) return;
    event.preventDefault();
    const buttons = [...results.querySelectorAll('button')];
    (buttons[buttons.indexOf(document.activeElement) + step] ?? field).focus();
  });

  function close() {
    clearTimeout(timer);
    asked = '';
    field.value = '';
    results.hidden = true;
    results.replaceChildren();
    searching(false);
  }

  function find(text) {
    const current = () => text === asked;
    const sections = [
      section('Conversations', current, () => conversations(text)),
      section('People', current, () => people(text)),
      section('Public groups', current, () => groups(text)),
      section('Messages', current, () => messages(text)),
    ];
    results.replaceChildren(...sections);
    results.hidden = false;
    searching(true);
  }

  function conversations(text) {
    const wanted = text.toLowerCase();
    return chats.list
      .filter(({ name, peer }) => name.toLowerCase().includes(wanted) || peer?.username?.includes(wanted))
      .slice(0, SHOWN)
      .map((conversation) =>
        row(conversation.subject, {
          detail: conversation.isGroup ? 'Group' : `@${conversation.peer.username}`,
          group: conversation.isGroup,
          key: conversation.key,
          on: () => choose(() => owner.open(conversation)),
        }),
      );
  }

  async function people(text) {
    const found = await roost.api.findUsers(text);
    return found.items
      .filter((user) => user.id !== chats.me)
      .map((user) => row(user, { detail: `@${user.username}`, on: () => choose(() => owner.open(chats.withUser(user))) }));
  }

  async function groups(text) {
    const found = await roost.api.findGroups(text, SHOWN);
    return found.items.map((group) =>
      row(group, { detail: `${count(group.member_count, 'member')}${group.role ? ' · you are in it' : ''}`, group: true, on: () => choose(() => owner.openGroup(group)) }),
    );
  }

  async function messages(text) {
    const both = await Promise.allSettled([roost.api.search('direct', text), roost.api.search('group', text)]);
    const pages = both.filter(({ status }) => status === 'fulfilled').map(({ value }) => value);
    if (pages.length === 0) throw both[0].reason;
    return pages
      .flatMap(({ items }) => items)
      .sort((a, b) => Date.parse(b.sent_at) - Date.parse(a.sent_at))
      .map((hit) => hitRow(hit))
      .filter(Boolean);
  }

  function hitRow(hit) {
    const conversation = chats.get(hit.conversation);
    if (!conversation) return null;
    const author = hit.sender === chats.me ? 'You' : chats.people.name(hit.sender);
    const detail = element('span', { className: 'fragment' }, `${author}: `, ...fragment(hit));
    const made = row(conversation.subject, {
      detail,
      when: hit.sent_at,
      group: conversation.isGroup,
      on: () => choose(() => owner.open(conversation, { seq: hit.seq })),
    });
    made.firstElementChild.dataset.message = hit.id;
    return made;
  }

  function choose(action) {
    close();
    action();
  }

  return { element: element('search', { className: 'search' }, field), results };
}

/** A heading with what `load` finds; nothing where it finds nothing. */
function section(title, current, load) {
  const list = element('ul', {});
  const made = element('section', { className: 'found', data: { section: title.toLowerCase() }, aria: { label: title } }, element('h3', { textContent: title }), list);
  const show = (rows) => {
    list.replaceChildren(...rows);
    made.classList.toggle('nothing', rows.length === 0);
  };
  const none = (text) => element('li', { className: 'none', textContent: text });
  const done = Promise.resolve().then(load);
  if (title !== 'Conversations') show([none('Searching…')]);
  done.then(
    (rows) => current() && show(rows.length === 0 && title === 'People' ? [none('Nobody by that name.')] : rows),
    (error) => current() && show([none(explain(error))]),
  );
  return made;
}

/** What matched, in the parts that the server cut: text, never markup. */
function fragment({ fragment: parts, body }) {
  if (!Array.isArray(parts)) return [body?.text ?? ''];
  return parts.map(({ text, match }) => (match ? element('mark', { textContent: text }) : text));
}

