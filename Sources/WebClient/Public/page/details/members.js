// The members of a group: roles, and for admins and owners changing them.

import { avatar } from '../avatar.js';
import { confirm } from '../dialog.js';
import { button, element } from '../dom.js';
import { explain } from '../errors.js';
import { icon } from '../icons.js';
import { attempt } from '../notice.js';
import { menu } from '../popover.js';

const ORDER = { owner: 0, admin: 1, member: 2 };
const NAMES = { owner: 'Owner', admin: 'Admin', member: 'Member' };
/** Of larger groups those beyond are found by name. */
const SHOWN = 200;

export function memberList(roost, chats, conversation, { open }) {
  const heading = element('h3', { textContent: 'Members' });
  const filter = element('input', { type: 'search', placeholder: 'Find a member', aria: { label: 'Find a member' }, hidden: true, on: { input: () => render() } });
  const list = element('ul', { className: 'members' });
  let shown = '';

  if (!conversation.gone) {
    chats.loadMembers(conversation).catch((error) => {
      list.replaceChildren(element('li', { className: 'none', textContent: explain(error) }));
    });
  }

  function render() {
    const members = conversation.members ?? [];
    const wanted = filter.value.trim().toLowerCase();
    const found = members
      .filter(({ user }) => `${chats.people.name(user)} ${chats.people.get(user).username}`.toLowerCase().includes(wanted))
      .sort((a, b) => ORDER[a.role] - ORDER[b.role] || chats.people.name(a.user).localeCompare(chats.people.name(b.user)))
      .slice(0, SHOWN);
    filter.hidden = members.length < 12;
    heading.hidden = members.length === 0;
    const content = JSON.stringify([found, conversation.role, chats.people.version]);
    if (content === shown) return;
    shown = content;
    list.replaceChildren(...found.map(line));
  }

  function line({ user, role }) {
    const person = chats.people.get(user);
    const own = user === chats.me;
    return element(
      'li',
      { data: { user: person.username, role } },
      avatar(person),
      element(
        'span',
        { className: 'who' },
        element('strong', { textContent: own ? `${chats.people.name(user)} (you)` : chats.people.name(user) }),
        element('span', { className: 'detail', textContent: NAMES[role] ?? role }),
      ),
      own
        ? null
        : button(icon('more'), { label: `What to do with ${chats.people.name(user)}`, className: 'icon', ariaHasPopup: 'menu', on: ({ currentTarget }) => actions(user, role, currentTarget) }),
    );
  }

  function actions(user, role, anchor) {
    const group = conversation.group.id;
    const name = chats.people.name(user);
    const owner = conversation.role === 'owner';
    const above = owner || (conversation.role === 'admin' && role === 'member');
    const give = (wanted) => ({
      text: `Make ${NAMES[wanted].toLowerCase()}`,
      action: () => attempt(() => roost.api.putMember(group, user, wanted)),
    });
    menu(
      anchor,
      [
        { text: 'Write to them', action: () => open(chats.withUser(chats.people.get(user))) },
        above && role === 'member' && give('admin'),
        above && role === 'admin' && give('member'),
        owner && role !== 'owner' && give('owner'),
        owner && role === 'owner' && give('admin'),
        above && {
          text: 'Remove',
          danger: true,
          action: () =>
            confirm({
              title: `Remove ${name}?`,
              text: 'They get no more of the group’s messages. They can be added again.',
              action: 'Remove',
              submit: () => roost.api.removeMember(group, user),
            }),
        },
        above && {
          text: 'Ban',
          danger: true,
          action: () =>
            confirm({
              title: `Ban ${name}?`,
              text: 'They are removed and can not come back until the ban is lifted.',
              action: 'Ban',
              submit: () => roost.api.ban(group, user, true),
            }),
        },
      ],
      { label: `What to do with ${name}` },
    );
  }

  return { element: element('section', {}, heading, filter, list), render };
}
