// One line of the list: a conversation, a person, a group or a message that was found.

import { avatar, nameOf } from '../avatar.js';
import { element } from '../dom.js';
import { icon } from '../icons.js';
import { shortTime } from '../time.js';

/**
 * @param {object} subject a user or a group
 * @param {object} shows
 * @param {Node|string} shows.detail the line below the name
 */
export function row(subject, { detail, when, unread = 0, mentions = 0, muted = false, online = false, group = false, current = false, typing = false, draft = false, key = '', on }) {
  return element(
    'li',
    {},
    element(
      'button',
      {
        type: 'button',
        className: unread > 0 && !muted ? 'row has-unread' : 'row',
        on: { click: on },
        data: group ? { group: subject.name ?? '', key } : { user: subject.username ?? '', key },
        aria: { current: current ? 'true' : 'false' },
      },
      avatar(subject, { online, group }),
      element(
        'span',
        { className: 'who' },
        element('strong', { textContent: nameOf(subject) }),
        element(
          'span',
          { className: typing ? 'detail typing' : 'detail' },
          draft && element('span', { className: 'draft', textContent: 'Draft: ' }),
          detail,
        ),
      ),
      element(
        'span',
        { className: 'aside' },
        when ? element('time', { dateTime: when, textContent: shortTime(when) }) : null,
        element(
          'span',
          { className: 'badges' },
          muted ? element('span', { className: 'muted', role: 'img', title: 'Muted', aria: { label: 'Muted' } }, icon('muted')) : null,
          mentions > 0 ? element('span', { className: 'mentions', textContent: '@', role: 'img', title: 'You were mentioned', aria: { label: `${mentions} mentions of you` } }) : null,
          unread > 0
            ? element('span', { className: muted ? 'unread quiet' : 'unread', textContent: unread > 99 ? '99+' : String(unread), aria: { label: `${unread} unread` } })
            : null,
        ),
      ),
    ),
  );
}
