import { element } from './dom.js';

/** What people and groups are called. */
export function nameOf(subject) {
  return subject?.display_name || subject?.name || subject?.username || 'Somebody';
}

/** A circle with initials, in a colour that stays the same for a user or group. */
export function avatar(subject, { online = false, group = false } = {}) {
  const letters = nameOf(subject)
    .split(/\s+/)
    .slice(0, 2)
    .map((word) => [...word][0] ?? '')
    .join('')
    .toUpperCase();
  const hue = [...String(subject?.id)].reduce((sum, letter) => (sum * 33 + letter.codePointAt(0)) % 65521, 7) % 8;
  const className = `avatar tone-${hue}${online ? ' online' : ''}${group ? ' group' : ''}`;
  return element('span', { className, textContent: letters, aria: { hidden: 'true' } });
}
