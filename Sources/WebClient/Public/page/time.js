const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const date = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric' });

const DAY_MS = 86_400_000;

export function timeOfDay(text) {
  return clock.format(new Date(text));
}

/** The heading above a day's messages. */
export function dayName(text, now = new Date()) {
  const then = new Date(text);
  const days = Math.round((startOfDay(now) - startOfDay(then)) / DAY_MS);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return days < 300 ? day.format(then) : date.format(then);
}

/** When something was, in as few letters as a list has room for. */
export function shortTime(text, now = new Date()) {
  const then = new Date(text);
  if (startOfDay(now).getTime() === startOfDay(then).getTime()) return clock.format(then);
  return now - then < 300 * DAY_MS ? then.toLocaleDateString(undefined, { day: 'numeric', month: 'short' }) : date.format(then);
}

export function lastSeen(presence, now = new Date()) {
  if (!presence) return '';
  if (presence.online) return 'online';
  if (!presence.last_seen) return '';
  const minutes = Math.floor((now - new Date(presence.last_seen)) / 60_000);
  if (minutes < 1) return 'last seen just now';
  if (minutes < 60) return `last seen ${minutes} min ago`;
  return `last seen ${dayName(presence.last_seen, now).toLowerCase()} at ${timeOfDay(presence.last_seen)}`;
}

function startOfDay(when) {
  return new Date(when.getFullYear(), when.getMonth(), when.getDate());
}
