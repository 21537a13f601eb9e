// Who is who: profiles, asked for when first needed, and presence.

import { nameOf } from '../avatar.js';

/** Profiles asked for at a time. */
const AT_ONCE = 4;

export class People {
  #roost;
  #changed;
  #known = new Map();
  #presence = new Map();
  #wanted = [];
  #asking = 0;
  #watched = new Set();
  /** Grows with every change, for what is shown of people. */
  version = 0;

  constructor(roost, changed) {
    this.#roost = roost;
    this.#changed = changed;
    this.add(roost.user);
    roost.addEventListener('presence', ({ detail }) => {
      this.#presence.set(detail.user, detail);
      this.#changed();
    });
    roost.addEventListener('profile', ({ detail }) => this.add(detail));
  }

  /** What is known of a user; what is not is asked for. */
  get(id) {
    const known = this.#known.get(id);
    if (known) return known;
    const blank = { id, username: '', display_name: '…' };
    this.#known.set(id, blank);
    this.#wanted.push(id);
    this.#ask();
    return blank;
  }

  name(id) {
    return nameOf(this.get(id));
  }

  add(user) {
    if (!user?.id) return;
    const known = this.#known.get(user.id);
    const now = { ...known, ...user };
    if (known && ['username', 'display_name', 'about', 'avatar'].every((field) => known[field] === now[field])) return;
    this.#known.set(user.id, now);
    this.version += 1;
    this.#changed();
  }

  presence(id) {
    return this.#presence.get(id);
  }

  watch(ids) {
    const added = ids.filter((id) => !this.#watched.has(id)).slice(0, 400 - this.#watched.size);
    for (const id of added) this.#watched.add(id);
    if (added.length > 0) this.#roost.watch(added);
  }

  async #ask() {
    if (this.#asking >= AT_ONCE || this.#wanted.length === 0) return;
    this.#asking += 1;
    const id = this.#wanted.shift();
    try {
      this.add(await this.#roost.api.user(id));
    } catch (error) {
      if (error.status === 404) this.add({ id, username: '', display_name: 'Deleted account' });
      else setTimeout(() => this.#known.delete(id), 5000); // and asked for again when next shown
    } finally {
      this.#asking -= 1;
      this.#ask();
    }
  }
}
