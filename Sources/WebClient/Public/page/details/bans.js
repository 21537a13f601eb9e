// Who may not come back to a group.

import { avatar } from '../avatar.js';
import { dialog } from '../dialog.js';
import { button, element } from '../dom.js';
import { explain } from '../errors.js';
import { attempt } from '../notice.js';

export async function bansDialog(roost, chats, conversation) {
  const group = conversation.group.id;
  const list = element('ul', { className: 'members' });
  dialog('Banned people', [list]);
  const none = () => element('li', { className: 'none', textContent: 'Nobody is banned.' });
  try {
    const { items } = await roost.api.bans(group);
    const lines = items.map(({ user }) => {
      chats.people.add(user);
      const lift = button('Lift the ban', {
        className: 'quiet',
        on: async () => {
          if (await attempt(() => roost.api.ban(group, user.id, false))) line.remove();
          if (list.children.length === 0) list.append(none());
        },
      });
      const line = element('li', {}, avatar(user), element('span', { className: 'who' }, element('strong', { textContent: chats.people.name(user.id) })), lift);
      return line;
    });
    list.replaceChildren(...(lines.length > 0 ? lines : [none()]));
  } catch (error) {
    list.replaceChildren(element('li', { className: 'problem', textContent: explain(error) }));
  }
}
