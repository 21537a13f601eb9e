// What was written and is not acknowledged yet. Kept in storage, so that a reload or a crash loses nothing; every entry
// carries its client_id, so that sending it again, from whichever tab, makes one message.

export class Outbox {
  #storage;
  #key;

  /**
   * @param {Storage} storage
   * @param {string} user whose outbox it is
   */
  constructor(storage, user) {
    this.#storage = storage;
    this.#key = `roost.outbox.${user}`;
  }

  /** Oldest first: {client_id, conversation?, to?, body, written_at, error?}. */
  get entries() {
    try {
      const entries = JSON.parse(this.#storage.getItem(this.#key));
      return Array.isArray(entries) ? entries : [];
    } catch {
      return [];
    }
  }

  add(entry) {
    this.#write([...this.entries, entry]);
  }

  /** Changes one entry in place. Does nothing when it has gone. */
  update(clientID, change) {
    this.#write(this.entries.map((entry) => (entry.client_id === clientID ? { ...entry, ...change } : entry)));
  }

  remove(clientID) {
    this.#write(this.entries.filter((entry) => entry.client_id !== clientID));
  }

  #write(entries) {
    if (entries.length === 0) this.#storage.removeItem(this.#key);
    else this.#storage.setItem(this.#key, JSON.stringify(entries));
  }
}

/** A new client_id: unique to this sender. */
export function newClientID() {
  // randomUUID exists only in secure contexts; a chat on a plain http address of one's own is common.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
