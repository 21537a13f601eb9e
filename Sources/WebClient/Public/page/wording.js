// Events of the log in words: lines of the conversation, and the line below a name in the list.

import { plainText } from './markdown.js';

const PREVIEW = 90;

const ROLES = { owner: 'an owner', admin: 'an admin', member: 'a member' };

/** "Ann added Ben", "The group is now called …". `before` is the group as it was until then: null, none; undefined, not known. */
export function systemLine(event, { people, me, before }) {
  const actor = event.sender === me ? 'You' : people.name(event.sender);
  if (event.kind === 'group') {
    const { name, deleted, about } = event.group ?? {};
    if (deleted) return `${actor} deleted the group`;
    if (before === null) return `${actor} made the group “${name}”`;
    if (before === undefined) return `${actor} changed the group, now called “${name}”`;
    if (before.name !== name) return `${actor} renamed the group: it is now called “${name}”`;
    if (before.about !== about) return `${actor} changed what the group is about`;
    if (before.visibility !== event.group.visibility) return `${actor} made the group ${event.group.visibility}`;
    return `${actor} changed the group`;
  }
  const self = event.user === event.sender;
  const whom = event.user === me ? 'you' : people.name(event.user);
  switch (event.change) {
    case 'joined': return self ? `${actor} joined` : `${actor} added ${whom}`;
    case 'left': return `${actor} left`;
    case 'removed': return self ? `${actor} left` : `${actor} removed ${whom}`;
    case 'banned': return `${actor} banned ${whom}`;
    case 'role': return `${actor} made ${whom} ${ROLES[event.role] ?? event.role}`;
    default: return `${actor} changed the group`;
  }
}

/** The line below a conversation's name. `last` is an event or an entry of the outbox. */
export function preview(last, { people, me, isGroup }) {
  if (!last) return 'No messages yet';
  const own = !last.sender || last.sender === me;
  const who = own ? 'You' : isGroup ? people.name(last.sender) : null;
  const said = (text) => (who ? `${who}: ${text}` : text);
  const did = (text) => `${who ?? people.name(last.sender)} ${text}`;
  switch (last.kind ?? 'message') {
    case 'message': return last.deleted ? said('deleted message') : said(short(plainText(last.body)));
    case 'edit': return last.body ? said(`${short(plainText(last.body))} (edited)`) : did('edited a message');
    case 'delete': return did('deleted a message');
    case 'reaction': return did(last.removed ? `took back ${last.emoji}` : `reacted ${last.emoji}`);
    default: return systemLine(last, { people, me, before: last.seq > 1 ? undefined : null });
  }
}

/** The beginning of a text, on one line. */
export function short(text = '', length = PREVIEW) {
  const line = text.replace(/\s+/g, ' ').trim();
  const letters = [...line.slice(0, 2 * length)];
  return letters.length > length ? `${letters.slice(0, length).join('')}…` : line;
}

/** "Ann is writing", "Ann and Ben are writing", "Ann, Ben and 2 others are writing" */
export function typingLine(names) {
  if (names.length === 1) return `${names[0]} is writing…`;
  if (names.length === 2) return `${names[0]} and ${names[1]} are writing…`;
  const others = names.length - 2;
  return `${names[0]}, ${names[1]} and ${others} ${others === 1 ? 'other' : 'others'} are writing…`;
}

export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}
