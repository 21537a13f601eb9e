// Choosing an emoji: by looking, or by typing what it is.

import { button, element } from './dom.js';
import { findEmoji } from './emoji.js';
import { popover } from './popover.js';

/** Opens the picker beside `anchor` and calls `choose` with the emoji. */
export function pickEmoji(anchor, choose) {
  const grid = element('div', { className: 'emoji-grid' });
  const search = element('input', { type: 'search', placeholder: 'Search emoji', autocomplete: 'off', aria: { label: 'Search emoji' } });
  const take = (sign) => {
    shown.close();
    choose(sign);
  };
  const fill = () => {
    const groups = findEmoji(search.value);
    grid.replaceChildren(
      ...groups.flatMap(({ name, emoji }) => [
        element('h4', { textContent: name }),
        element('div', { className: 'emoji-row' }, ...emoji.map(({ sign, words }) => button(sign, { label: words, on: () => take(sign) }))),
      ]),
    );
    if (groups.length === 0) grid.append(element('p', { className: 'none', textContent: 'No emoji by that name.' }));
  };
  search.addEventListener('input', fill);
  search.addEventListener('keydown', (event) => {
    const first = grid.querySelector('button');
    if (event.key === 'Enter' && first) {
      event.preventDefault();
      first.click();
    } else if (event.key === 'ArrowDown' && first) {
      event.preventDefault();
      first.focus();
    }
  });
  grid.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(grid), ArrowUp: -columns(grid) }[event.key];
    if (!step) return;
    event.preventDefault();
    const buttons = [...grid.querySelectorAll('button')];
    const next = buttons.indexOf(document.activeElement) + step;
    if (next < 0) search.focus();
    else buttons[Math.min(next, buttons.length - 1)].focus();
  });
  fill();
  const shown = popover(anchor, element('div', { className: 'emoji-picker' }, search, grid), { label: 'Choose an emoji' });
  search.focus({ preventScroll: true });
}

function columns(grid) {
  const row = grid.querySelector('.emoji-row');
  return row ? Math.max(1, Math.floor(row.clientWidth / (row.firstElementChild?.offsetWidth || 1))) : 1;
}
