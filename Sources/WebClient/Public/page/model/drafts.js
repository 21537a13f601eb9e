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

  get #all() {
    try {
      return JSON.parse(this.#storage.getItem(this.#key)) ?? {};
    } catch {
      return {};
    }
  }
}
