// What opens beside a button: menus and pickers. One at a time; Escape, a click elsewhere or a resize closes it, and the focus
// goes back to where it was.

import { element } from './dom.js';

const MARGIN = 8;
let opened = null;

/**
 * Shows content beside an element.
 * @param {Element} anchor
 * @param {Element} content
 * @param {object} options
 * @param {string} options.label its accessible name
 * @param {string} [options.role]
 * @returns {{close: () => void}}
 */
export function popover(anchor, content, { label, role = 'dialog', className = '' }) {
  opened?.close();
  const before = document.activeElement;
  const made = element('div', { className: `popover ${className}`, role, tabIndex: -1, aria: { label } }, content);
  const key = (event) => {
    if (event.key !== 'Escape') return;
    event.preventDefault();
    event.stopPropagation();
    close();
  };
  const outside = (event) => {
    if (!made.contains(event.target) && !anchor.contains(event.target)) close(false);
  };
  const close = (returnFocus = true) => {
    if (opened?.element !== made) return;
    opened = null;
    made.remove();
    anchor.setAttribute?.('aria-expanded', 'false');
    document.removeEventListener('keydown', key, true);
    document.removeEventListener('pointerdown', outside, true);
    globalThis.removeEventListener('resize', closeQuietly);
    if (returnFocus) (before?.isConnected ? before : anchor).focus?.({ preventScroll: true });
  };
  const closeQuietly = () => close(false);
  opened = { element: made, close };
  document.addEventListener('keydown', key, true);
  document.addEventListener('pointerdown', outside, true);
  globalThis.addEventListener('resize', closeQuietly);
  anchor.setAttribute?.('aria-expanded', 'true');
  // In a modal dialog only what is within it can be used.
  (anchor.closest('dialog') ?? document.body).append(made);
  place(made, anchor.getBoundingClientRect());
  return { close, place: () => place(made, anchor.getBoundingClientRect()) };
}

/** Below the anchor, or above it where there is more room; always within the window. */
function place(made, box) {
  const { offsetWidth: width, offsetHeight: height } = made;
  const below = innerHeight - box.bottom - MARGIN;
  const top = height <= below || below >= box.top ? box.bottom + 4 : box.top - height - 4;
  const left = box.left + width > innerWidth - MARGIN ? box.right - width : box.left;
  made.style.top = `${Math.max(MARGIN, Math.min(top, innerHeight - height - MARGIN))}px`;
  made.style.left = `${Math.max(MARGIN, Math.min(left, innerWidth - width - MARGIN))}px`;
}

/**
 * A menu: arrow keys move, Enter chooses.
 * @param {Element} anchor
 * @param {Array<{text: string, action: () => void, danger?: boolean}|Element|false|null>} entries an element is shown as it is
 */
export function menu(anchor, entries, { label }) {
  const list = element('div', { className: 'menu' });
  const shown = popover(anchor, list, { label, role: 'menu' });
  for (const entry of entries) {
    if (!entry) continue;
    if (entry instanceof Element) {
      list.append(entry);
      continue;
    }
    const choose = () => {
      shown.close();
      entry.action();
    };
    list.append(
      element('button', { type: 'button', role: 'menuitem', className: entry.danger ? 'danger' : '', textContent: entry.text, on: { click: choose } }),
    );
  }
  const buttons = [...list.querySelectorAll('button')];
  list.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = buttons.indexOf(document.activeElement);
    buttons[(at + step + buttons.length) % buttons.length].focus();
  });
  shown.place();
  buttons[0]?.focus({ preventScroll: true });
  return shown;
}
