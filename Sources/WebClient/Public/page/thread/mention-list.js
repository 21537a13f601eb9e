// Completing @names of a group's members while one writes.

import { avatar, nameOf } from '../avatar.js';
import { element } from '../dom.js';

const SHOWN = 6;

export class MentionList {
  #text;
  #candidates;
  #found = [];
  #at = 0;
  #start = 0;
  element = element('ul', { className: 'mention-list', id: 'mention-list', role: 'listbox', hidden: true, aria: { label: 'Members' } });

  /**
   * @param {HTMLTextAreaElement} text
   * @param {() => object[]} candidates users that can be mentioned here
   */
  constructor(text, candidates) {
    this.#text = text;
    this.#candidates = candidates;
  }

  /** Looks whether a name is being written at the caret. */
  update() {
    const { selectionStart: caret, selectionEnd, value } = this.#text;
    const written = caret === selectionEnd ? /(?:^|[\s(])@([\p{L}\p{N}_.-]{0,32})$/u.exec(value.slice(Math.max(0, caret - 40), caret)) : null;
    if (!written) return this.close();
    this.#start = caret - written[1].length;
    const wanted = written[1].toLowerCase();
    this.#found = this.#candidates()
      .filter((user) => user.username && matches(user, wanted))
      .slice(0, SHOWN);
    this.#at = 0;
    this.#render();
  }

  close() {
    this.#found = [];
    this.#render();
  }

  /** True if the key was for the list. */
  key(event) {
    if (this.#found.length === 0) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      this.#at = (this.#at + step + this.#found.length) % this.#found.length;
      this.#render();
    } else if (event.key === 'Enter' || event.key === 'Tab') this.#choose(this.#found[this.#at]);
    else if (event.key === 'Escape') this.close();
    else return false;
    event.preventDefault();
    return true;
  }

  #choose(user) {
    this.#text.setRangeText(`${user.username} `, this.#start, this.#text.selectionStart, 'end');
    this.close();
    this.#text.dispatchEvent(new Event('input'));
    this.#text.focus();
  }

  #render() {
    const open = this.#found.length > 0;
    this.element.hidden = !open;
    this.element.replaceChildren(
      ...this.#found.map((user, at) =>
        element(
          'li',
          {
            id: `mention-${at}`,
            role: 'option',
            aria: { selected: String(at === this.#at) },
            // The press must not take the focus from the text.
            on: { pointerdown: (event) => event.preventDefault(), click: () => this.#choose(user) },
          },
          avatar(user),
          element('strong', { textContent: nameOf(user) }),
          element('span', { className: 'detail', textContent: `@${user.username}` }),
        ),
      ),
    );
    this.#text.setAttribute('aria-expanded', String(open));
    if (open) this.#text.setAttribute('aria-activedescendant', `mention-${this.#at}`);
    else this.#text.removeAttribute('aria-activedescendant');
  }
}

function matches({ username, display_name: name }, wanted) {
  return username.startsWith(wanted) || (name ?? '').toLowerCase().split(/\s+/).some((word) => word.startsWith(wanted));
}

/** The members whose @name stands in the text. */
export function mentioned(text, users) {
  const names = new Set();
  for (const [, name] of text.matchAll(/(?<![\p{L}\p{N}])@([a-z0-9_.-]{3,32})/giu)) {
    names.add(name.toLowerCase());
    // A full stop or a dash may end the sentence rather than the name.
    names.add(name.replace(/[.-]+$/, '').toLowerCase());
  }
  return users.filter(({ username }) => names.has(username?.toLowerCase())).map(({ id }) => id);
}
