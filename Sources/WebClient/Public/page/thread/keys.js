// The messages by keyboard: the list is one stop of Tab; arrows up and down go from message to message, left and right to what
// one can press in it.

export class Keys {
  #list;

  constructor(list) {
    this.#list = list;
    list.addEventListener('keydown', (event) => this.#key(event));
  }

  /** Changes the rows and, where the focused one was replaced, focuses what replaced it. */
  keep(change) {
    const focused = this.#list.contains(document.activeElement) && document.activeElement.closest('[data-key]');
    const key = focused && focused.dataset.key;
    const className = focused && document.activeElement.className;
    change();
    if (!key || this.#list.contains(document.activeElement)) return;
    const row = this.#list.querySelector(`[data-key="${CSS.escape(key)}"]`);
    const same = [...(row?.querySelectorAll('button') ?? [])];
    (same.find((button) => button.className === className) ?? same[0] ?? this.#list).focus({ preventScroll: true });
  }

  #key(event) {
    const { key, target } = event;
    if (event.altKey || event.ctrlKey || event.metaKey || target.closest('.popover')) return;
    const row = target.closest('[data-key]');
    let next = null;
    if (key === 'ArrowUp' || key === 'ArrowDown') {
      const rows = [...this.#list.querySelectorAll('[data-key]:has(button)')];
      const at = row ? rows.indexOf(row) : rows.length;
      const to = rows[key === 'ArrowUp' ? at - 1 : at + 1];
      next = to?.querySelector('.act') ?? to?.querySelector('button');
    } else if (row && (key === 'ArrowLeft' || key === 'ArrowRight')) {
      const buttons = [...row.querySelectorAll('button, a')];
      next = buttons[buttons.indexOf(target) + (key === 'ArrowLeft' ? -1 : 1)];
    } else return;
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.scrollIntoView({ block: 'nearest' });
  }
}
