// Short notices at the lower edge, read out by screen readers.

import { button, element } from './dom.js';
import { explain } from './errors.js';
import { icon } from './icons.js';

const SHOWN_MS = 6000;
let place = null;

export function notice(text, { fault = false } = {}) {
  if (!place?.isConnected) {
    place = element('div', { className: 'notices', role: 'status', aria: { live: 'polite' } });
  }
  // What lies beneath a modal dialog is neither seen nor read out.
  (document.querySelector('dialog[open]') ?? document.body).append(place);
  const made = element('div', { className: fault ? 'notice fault' : 'notice' }, element('span', { textContent: text }));
  made.append(button(icon('close'), { label: 'Dismiss', className: 'icon', on: () => made.remove() }));
  place.replaceChildren(...[...place.children].slice(-2), made);
  setTimeout(() => made.remove(), SHOWN_MS);
}

/** Does something and says so if it fails. Answers whether it worked. */
export async function attempt(action) {
  try {
    await action();
    return true;
  } catch (error) {
    notice(explain(error), { fault: true });
    return false;
  }
}
