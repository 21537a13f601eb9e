// Choosing people: a field that finds them, and those who were chosen.

import { avatar, nameOf } from '../avatar.js';
import { button, element } from '../dom.js';
import { explain } from '../errors.js';

const AFTER_MS = 200;

/** @param {{except?: Set<string>}} options users who are not offered */
export function choosePeople(roost, chats, { except = new Set() } = {}) {
  const chosen = new Map();
  let timer = null;
  const chips = element('div', { className: 'chips', aria: { label: 'Chosen' } });
  const field = element('input', { type: 'search', className: 'people-search', placeholder: 'Find people', autocomplete: 'off', aria: { label: 'Find people' } });
  const list = element('ul', { className: 'members people-found' });

  const known = () => chats.list.filter(({ peer }) => peer).map(({ peer }) => peer);
  async function find() {
    const text = field.value.trim();
    let users;
    try {
      users = text === '' ? known() : (await roost.api.findUsers(text, 10)).items;
    } catch (error) {
      list.replaceChildren(element('li', { className: 'problem', textContent: explain(error) }));
      return;
    }
    if (text !== field.value.trim()) return;
    const offered = users.filter(({ id }) => id !== chats.me && !except.has(id) && !chosen.has(id)).slice(0, 10);
    list.replaceChildren(...offered.map(line));
    if (offered.length === 0 && text !== '') list.append(element('li', { className: 'none', textContent: 'Nobody else by that name.' }));
  }

  function line(user) {
    const take = () => {
      chosen.set(user.id, user);
      chats.people.add(user);
      field.value = '';
      field.focus();
      render();
    };
    return element(
      'li',
      {},
      element(
        'button',
        { type: 'button', className: 'row', data: { user: user.username }, on: { click: take } },
        avatar(user),
        element('span', { className: 'who' }, element('strong', { textContent: nameOf(user) }), element('span', { className: 'detail', textContent: `@${user.username}` })),
      ),
    );
  }

  function drop(user) {
    chosen.delete(user.id);
    render();
  }

  function render() {
    chips.replaceChildren(
      ...[...chosen.values()].map((user) => button(`${nameOf(user)} ✕`, { label: `Leave out ${nameOf(user)}`, className: 'chip', on: () => drop(user) })),
    );
    find();
  }

  field.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(find, AFTER_MS);
  });
  field.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    list.querySelector('button')?.click();
  });
  render();
  return {
    element: element('div', { className: 'chooser' }, chips, field, list),
    get chosen() {
      return [...chosen.values()];
    },
    drop,
    focus: () => field.focus(),
  };
}
