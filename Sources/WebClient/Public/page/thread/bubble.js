// One message: who, what it answers, what it says, reactions, time and ticks.

import { avatar } from '../avatar.js';
import { button, element } from '../dom.js';
import { emojiName } from '../emoji.js';
import { icon } from '../icons.js';
import { render } from '../markdown.js';
import { timeOfDay } from '../time.js';
import { short } from '../wording.js';

/**
 * @param {object} message
 * @param {object} message.item the message, or the outbox's entry
 * @param {boolean} message.own
 * @param {boolean} message.first of a run by one sender
 * @param {object|null} message.sender shown beside it, in groups
 * @param {object|null} message.quoted {author, text, id}: what it answers
 * @param {[string, string, string]|null} message.tick class, sign, meaning
 * @param {Map<string, string>} message.mentions
 * @param {object} context {people, me, act, react, jump}
 */
export function bubble({ item, own, first, sender, quoted, tick, mentions }, context) {
  const when = item.sent_at ?? item.written_at;
  const text = element('div', { className: `text ${item.body?.format === 'markdown' ? 'markdown' : 'plain'}` });
  if (item.deleted) text.append('This message was deleted.');
  else text.append(render(item.body?.text ?? '', { format: item.body?.format, mentions }));
  if (onlyEmoji(item)) text.classList.add('large');
  const known = Boolean(item.seq);
  const made = element(
    'li',
    {
      className: ['message', own ? 'own' : 'other', item.deleted && 'deleted', first && 'first', sender && 'with-sender']
        .filter(Boolean)
        .join(' '),
      data: known ? { seq: String(item.seq), key: `s${item.seq}` } : { clientId: item.client_id, key: item.client_id },
    },
    sender && (first ? avatar(sender) : element('span', { className: 'avatar-space' })),
    element(
      'div',
      { className: 'bubble' },
      sender && first ? element('strong', { className: 'sender', textContent: context.people.name(item.sender) }) : null,
      quoted && quote(quoted, context),
      text,
      element(
        'span',
        { className: 'meta' },
        item.edited_at && !item.deleted ? element('span', { className: 'edited', textContent: 'edited ' }) : null,
        element('time', { dateTime: when, textContent: timeOfDay(when), title: new Date(when).toLocaleString() }),
        tick && element('span', { className: `tick ${tick[0]}`, textContent: tick[1], title: tick[2], role: 'img', aria: { label: tick[2] } }),
      ),
    ),
    known && !item.deleted && context.act ? actionsButton(item, context) : null,
    item.reactions?.length > 0 ? reactions(item, context) : null,
  );
  return made;
}

function actionsButton(item, { act }) {
  return button(icon('more'), {
    label: 'Message actions',
    className: 'act',
    on: ({ currentTarget }) => act(item, currentTarget),
    ariaHasPopup: 'menu',
    tabIndex: -1,
  });
}

function quote({ author, text, id }, { jump }) {
  return element(
    'button',
    { type: 'button', className: 'quote', tabIndex: -1, on: { click: () => jump(id) }, aria: { label: `In answer to ${author}: ${text}. Show it` } },
    element('strong', { textContent: author }),
    element('span', { textContent: short(text, 120) }),
  );
}

function reactions(item, { people, me, react }) {
  return element(
    'div',
    { className: 'reactions' },
    ...item.reactions.map(({ emoji, users }) => {
      const names = users.slice(0, 20).map((user) => (user === me ? 'you' : people.name(user)));
      const label = `${emojiName(emoji)}: ${names.join(', ')}${users.length > 20 ? ' and others' : ''}`;
      return element(
        'button',
        {
          type: 'button',
          className: users.includes(me) ? 'reaction mine' : 'reaction',
          title: label,
          tabIndex: -1,
          aria: { label, pressed: String(users.includes(me)) },
          data: { emoji },
          on: { click: () => react(item, emoji) },
        },
        element('span', { textContent: emoji }),
        users.length > 1 ? element('span', { className: 'number', textContent: String(users.length) }) : null,
      );
    }),
  );
}

/** Up to three emoji alone are shown large. */
function onlyEmoji({ body, deleted }) {
  const text = body?.text?.trim() ?? '';
  return !deleted && text.length > 0 && text.length < 30 && /^(\p{Extended_Pictographic}(️|\u200d\p{Extended_Pictographic}|[\u{1F3FB}-\u{1F3FF}])*\s*){1,3}$/u.test(text);
}
