// The switch that keeps a conversation quiet, for a while or for good.

import { button, element } from '../dom.js';
import { attempt } from '../notice.js';
import { menu } from '../popover.js';
import { timeOfDay } from '../time.js';

const HOUR_MS = 3_600_000;
const FOR_GOOD = '2999-12-31T00:00:00.000Z';

export function muteControl(chats, conversation) {
  const set = (until) => attempt(() => chats.mute(conversation, until));
  const during = (ms) => new Date(Date.now() + ms).toISOString();
  const mute = button('Mute', {
    className: 'quiet mute',
    on: () => {
      if (conversation.muted) return set(null);
      menu(
        mute,
        [
          { text: 'For an hour', action: () => set(during(HOUR_MS)) },
          { text: 'For 8 hours', action: () => set(during(8 * HOUR_MS)) },
          { text: 'For a week', action: () => set(during(7 * 24 * HOUR_MS)) },
          { text: 'Until I turn it off', action: () => set(FOR_GOOD) },
        ],
        { label: 'Mute for how long' },
      );
    },
  });
  const note = element('small', { className: 'detail' });
  return {
    element: element('div', { className: 'line' }, mute, note),
    render() {
      mute.textContent = conversation.muted ? 'Unmute' : 'Mute';
      mute.disabled = !conversation.id;
      note.textContent = conversation.muted ? until(conversation.mutedUntil) : '';
    },
  };
}

function until(time) {
  const when = new Date(time);
  if (!time || when - Date.now() > 365 * 24 * HOUR_MS) return 'Muted until you turn it off';
  const day = when - Date.now() > 20 * HOUR_MS ? `${when.toLocaleDateString(undefined, { day: 'numeric', month: 'short' })}, ` : '';
  return `Muted until ${day}${timeOfDay(time)}`;
}
