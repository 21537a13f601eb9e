// What was begun and not sent, a conversation each, kept in storage.

export class Drafts {
  #storage;
  #key;

  constructor(storage, user) {
    this.#storage = storage;
    this.#key = `roost.drafts.${user}`;
  }

  /** {text, replyTo?} or null */
  get(conversation) {
    return this.#all[conversation] ?? null;
  }

  set(conversation, draft) {
    const all = this.#all;
    if (draft?.text || draft?.replyTo) all[conversation] = draft;
    else delete all[conversation];
    this.#storage.setItem(this.#key, JSON.stringify(all));
  }

  move(from, to) {
    const draft = this.get(from);
    if (!draft) return;
    this.set(from, null);
    this.set(to, draft);
  }

  /** Users who were begun to be written to, and with whom there is no conversation yet. */
  get begun() {
    return Object.keys(this.#all).filter((key) => key.startsWith('to:')).map((key) => key.slice(3));
  }

  get #all() {
    try {
      return JSON.parse(this.#storage.getItem(this.#key)) ?? {};
    } catch {
      return {};
    }
  }
}
