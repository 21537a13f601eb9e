// The line above a conversation: who, whether they are there or writing, and the way to the details.

import { avatar } from '../avatar.js';
import { button, element } from '../dom.js';
import { icon } from '../icons.js';
import { lastSeen } from '../time.js';
import { count, typingLine } from '../wording.js';

export function title(chats, { back, details }) {
  const bar = element('header', { className: 'title' });
  const backButton = button(icon('back'), { label: 'Back to the list', className: 'back', on: back });
  const open = element('button', { type: 'button', className: 'subject', on: { click: details } });
  const more = button(icon('info'), { label: 'Details', className: 'icon', on: details });
  bar.append(backButton, open, more);
  let shown = '';
  return {
    element: bar,
    render(conversation) {
      const { subject, isGroup, typing } = conversation;
      const presence = isGroup ? null : chats.people.presence(subject.id);
      const content = JSON.stringify([conversation.key, subject, presence, typing, chats.people.version, conversation.muted, conversation.gone]);
      if (content === shown) return;
      shown = content;
      const detail = () => {
        if (typing.length > 0) return isGroup ? typingLine(typing.map((user) => chats.people.name(user))) : 'typing…';
        if (isGroup) return subject.member_count ? count(subject.member_count, 'member') : 'Group';
        return lastSeen(presence) || (subject.username ? `@${subject.username}` : '');
      };
      open.replaceChildren(
        avatar(subject, { online: presence?.online, group: isGroup }),
        element(
          'span',
          { className: 'who' },
          element('strong', {}, conversation.name, conversation.muted ? element('span', { className: 'muted', role: 'img', title: 'Muted', aria: { label: 'Muted' } }, icon('muted')) : null),
          element('span', { className: typing.length > 0 ? 'detail typing' : 'detail', textContent: detail(), aria: { live: 'polite' } }),
        ),
      );
    },
  };
}
