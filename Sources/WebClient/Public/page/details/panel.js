// The panel beside a conversation: the person or the group, and what one does with them.

import { button, element, oncePerFrame } from '../dom.js';
import { icon } from '../icons.js';
import { groupDetails } from './group.js';
import { personDetails } from './person.js';

/** @param {object} owner {open(conversation), shown(boolean)} */
export function detailsPanel(roost, chats, { open, shown }) {
  let conversation = null;
  let content = null;
  const body = element('div', { className: 'details-body' });
  const heading = element('h2', {});
  const panel = element(
    'aside',
    { className: 'details', hidden: true, aria: { label: 'Details' } },
    element('header', {}, heading, button(icon('close'), { label: 'Close details', className: 'icon', on: () => close() })),
    body,
  );
  panel.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') close();
  });
  chats.addEventListener('change', oncePerFrame(() => conversation && content.render()));

  function close() {
    if (!conversation) return;
    conversation = null;
    panel.hidden = true;
    shown(false);
  }

  return {
    element: panel,
    close,
    toggle(chosen) {
      if (conversation === chosen) return close();
      conversation = chosen;
      heading.textContent = chosen.isGroup ? 'Group' : 'Person';
      content = (chosen.isGroup ? groupDetails : personDetails)(roost, chats, chosen, { open, close });
      body.replaceChildren(content.element);
      panel.hidden = false;
      shown(true);
      content.render();
      panel.querySelector('header button').focus();
    },
  };
}
