import { avatar, nameOf } from '../avatar.js';
import { button, element } from '../dom.js';
import { explain } from '../errors.js';
import { attempt } from '../notice.js';

/** Who may not write to the user. */
export function blocked(roost, chats) {
  const list = element('ul', { className: 'members' }, element('li', { className: 'none', textContent: 'Asking…' }));
  const none = () => element('li', { className: 'none', textContent: 'You have blocked nobody.' });
  roost.api.blocks().then(
    ({ items }) => list.replaceChildren(...(items.length > 0 ? items.map((item) => line(item.user ?? item)) : [none()])),
    (error) => list.replaceChildren(element('li', { className: 'problem', textContent: explain(error) })),
  );

  function line(user) {
    chats.people.add(user);
    const lift = button('Unblock', {
      className: 'quiet',
      on: async () => {
        if (await attempt(() => roost.api.block(user.id, false))) made.remove();
        if (list.children.length === 0) list.append(none());
      },
    });
    const made = element('li', {}, avatar(user), element('span', { className: 'who' }, element('strong', { textContent: nameOf(user) })), lift);
    return made;
  }
  return list;
}
