// A person: profile, presence, mute, block.

import { avatar, nameOf } from '../avatar.js';
import { confirm } from '../dialog.js';
import { button, element } from '../dom.js';
import { attempt } from '../notice.js';
import { lastSeen } from '../time.js';
import { muteControl } from './mute.js';

export function personDetails(roost, chats, conversation) {
  const { id } = conversation.peer;
  let blocked = null;
  const face = element('div', { className: 'face' });
  const about = element('p', { className: 'about-text' });
  const mute = muteControl(chats, conversation);
  const block = button('Block', { className: 'quiet danger block', disabled: true, on: () => (blocked ? unblock() : ask()) });
  const note = element('small', { className: 'detail' });

  roost.api.user(id).then((user) => chats.people.add(user)).catch(() => {});
  roost.api
    .blocks()
    .then(({ items }) => setBlocked(items.some((item) => (item.user?.id ?? item.id) === id)))
    .catch(() => setBlocked(false));

  function setBlocked(now) {
    blocked = now;
    block.disabled = false;
    render();
  }

  function ask() {
    confirm({
      title: `Block ${conversation.name}?`,
      text: 'They can not write to you any more. They are not told; groups that you share stay as they are.',
      action: 'Block',
      submit: async () => {
        await roost.api.block(id, true);
        setBlocked(true);
      },
    });
  }

  async function unblock() {
    if (await attempt(() => roost.api.block(id, false))) setBlocked(false);
  }

  function render() {
    const user = chats.people.get(id);
    const presence = chats.people.presence(id);
    face.replaceChildren(
      avatar(user, { online: presence?.online }),
      element('strong', { textContent: nameOf(user) }),
      element('span', { className: 'detail', textContent: `@${user.username}` }),
      element('span', { className: 'detail', textContent: lastSeen(presence) }),
    );
    about.textContent = user.about ?? '';
    about.hidden = !user.about;
    block.textContent = blocked ? 'Unblock' : 'Block';
    note.textContent = blocked ? 'Can not write to you' : '';
    mute.render();
  }

  return { element: element('div', {}, face, about, mute.element, element('div', { className: 'line' }, block, note)), render };
}
