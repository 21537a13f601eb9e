// Links by which others join a group.

import { actionForm, choice, dialog, labelled } from '../dialog.js';
import { button, element } from '../dom.js';
import { copy } from '../thread/actions.js';
import { count } from '../wording.js';

const HOUR_S = 3600;
const LASTS = { [HOUR_S]: 'An hour', [24 * HOUR_S]: 'A day', [7 * 24 * HOUR_S]: 'A week', [30 * 24 * HOUR_S]: 'A month' };
const USES = { '': 'Any number of people', 1: 'One person', 10: '10 people', 100: '100 people' };

export function inviteDialog(roost, conversation) {
  const lasts = choice(LASTS, String(7 * 24 * HOUR_S));
  const uses = choice(USES, '');
  const made = element('div', { className: 'invite-made', role: 'status' });
  dialog(`Invite to ${conversation.name}`, [
    actionForm({
      fields: [labelled('The link is good for', lasts), labelled('It lets in', uses)],
      action: 'Make a link',
      submit: async () => {
        const options = { expires_in: Number(lasts.value) };
        if (uses.value) options.max_uses = Number(uses.value);
        const { code } = await roost.api.createInvite(conversation.group.id, options);
        // The page's own address: what the server believes its address to be may lead nowhere from here.
        const url = `${location.origin}/#/invite/${encodeURIComponent(code)}`;
        const field = element('input', { readOnly: true, value: url, className: 'invite-url', aria: { label: 'Invite link' }, on: { focus: () => field.select() } });
        const who = uses.value ? count(Number(uses.value), 'person', 'people') : 'anybody who has it';
        made.replaceChildren(
          element('div', { className: 'line' }, field, button('Copy', { className: 'primary', on: () => copy(url) })),
          element('small', { className: 'detail', textContent: `Lets in ${who}, for ${LASTS[lasts.value].toLowerCase()}.` }),
        );
      },
    }),
    made,
  ]);
}
