// Roost's client library: sign in, stay connected, send each message once, receive each event once and in order.
//
//   import { Roost } from '/roost.js';
//   const roost = new Roost();
//   await roost.login({ login: 'ada', password: '…' });
//   roost.addEventListener('event', ({ detail }) => console.log(detail.kind, detail.body?.text));
//   roost.send({ to: userID, text: 'hello' });
//
// Events (all CustomEvent, `detail` as said):
// - state: {state: 'signed-out'|'connecting'|'online'|'waiting', retryAt?, reason?}
// - synced: {}: all that was missed has come
// - event: an event of the log, in order and once per conversation
// - outbox: {entry, state: 'queued'|'sent'|'failed', ack?, error?}
// - receipt, typing, presence, notification: the frame

import { Outbox, newClientID } from './roost/outbox.js';
import { RoostError, Session } from './roost/session.js';
import { Socket } from './roost/socket.js';

export { RoostError };

const CLIENT = 'roost.js/1';
/** How long acknowledgements of received events are collected. */
const RECEIVED_EVERY_MS = 150;
/** A send that was neither acknowledged nor refused by then is sent again on the same connection. */
const SEND_TIMEOUT_MS = 10_000;

export class Roost extends EventTarget {
  #session;
  #storage;
  #socket;
  #outbox = null;
  /** Whose connection and outbox these are; the session in storage may have become another's. */
  #owner = null;
  #state = 'signed-out';
  /** Per conversation, the last seq that this client holds. Events at or below it are repeats. */
  #cursors = new Map();
  /** Conversations whose cursor moved since the last `received`. */
  #moved = new Set();
  #receivedTimer = null;
  /** Sends on their way: ref → {entry, timer}. One for each destination, so that order is kept. */
  #inFlight = new Map();
  #watched = new Set();
  #synced = false;

  constructor({ base = globalThis.location?.origin, storage = globalThis.localStorage } = {}) {
    super();
    this.base = base;
    this.#storage = storage;
    this.#session = new Session({ base, storage });
    this.#socket = new Socket({
      address: (moveTo) => this.#address(moveTo),
      hello: () => this.#hello(),
      frame: (frame) => this.#received(frame),
      state: (state, detail) => this.#connection(state, detail),
      refused: (error) => this.#refused(error),
    });
    // Another tab that signs out or in takes this one with it.
    globalThis.addEventListener?.('storage', (change) => {
      if (change.key !== 'roost.session' || !this.#owner) return;
      if (!change.newValue) this.#signedOut();
      else if (this.user?.id !== this.#owner) this.#replaced();
    });
  }

  get state() {
    return this.#state;
  }

  /** The account that is signed in, or null. */
  get user() {
    return this.#session.user;
  }

  /** Entries not acknowledged yet, oldest first. */
  get outbox() {
    return this.#outbox?.entries ?? [];
  }

  // Accounts

  async register(account) {
    await this.#session.register(account);
    this.connect();
  }

  async login(credentials) {
    await this.#session.login(credentials);
    this.connect();
  }

  /** Goes on with what this browser keeps. False when nobody is signed in. */
  resume() {
    if (!this.#session.current) return false;
    this.connect();
    return true;
  }

  async logout() {
    this.#socket.stop();
    await this.#session.logout().catch(() => {});
    this.#signedOut();
  }

  connect() {
    this.#owner = this.user.id;
    this.#outbox = new Outbox(this.#storage, this.#owner);
    this.#socket.start();
  }

  // Messages

  /**
   * Writes a message into the outbox, from where it is sent now or when there is a connection.
   * @param {{to?: string, conversation?: string, text: string, replyTo?: string}} message
   * @returns its outbox entry
   */
  send({ to, conversation, text, replyTo }) {
    const body = { text, format: 'plain' };
    if (replyTo) body.reply_to = replyTo;
    const entry = { client_id: newClientID(), body, written_at: new Date().toISOString() };
    if (conversation) entry.conversation = conversation;
    else entry.to = to;
    this.#outbox.add(entry);
    this.#emit('outbox', { entry, state: 'queued' });
    this.#flush();
    return entry;
  }

  /** Sends a refused entry again. */
  retry(clientID) {
    this.#outbox.update(clientID, { error: undefined });
    this.#flush();
  }

  /** Gives an entry up. */
  discard(clientID) {
    this.#outbox.remove(clientID);
  }

  /** Says that the user has read a conversation up to `seq`. */
  read(conversation, seq) {
    this.#socket.send({ type: 'read', conversation, seq });
  }

  typing(conversation, active) {
    this.#socket.send({ type: 'typing', conversation, active });
  }

  /** Asks for the presence of these users, now and on every change. */
  watch(users) {
    const added = users.filter((user) => !this.#watched.has(user));
    for (const user of added) this.#watched.add(user);
    if (added.length > 0) this.#socket.send({ type: 'watch', users: added });
  }

  unwatch(users) {
    for (const user of users) this.#watched.delete(user);
    this.#socket.send({ type: 'unwatch', users });
  }

  // REST

  conversations({ cursor, limit = 100 } = {}) {
    return this.#session.request('GET', `/message-service/v1/conversations?${query({ cursor, limit })}`);
  }

  history(conversation, { before, after, limit = 50 } = {}) {
    return this.#session.request(
      'GET',
      `/message-service/v1/conversations/${encodeURIComponent(conversation)}/messages?${query({ before, after, limit })}`,
    );
  }

  findUsers(text) {
    return this.#session.request('GET', `/user-service/v1/users?${query({ query: text, limit: 20 })}`);
  }

  userProfile(id) {
    return this.#session.request('GET', `/user-service/v1/users/${encodeURIComponent(id)}`);
  }

  lastSeen(ids) {
    return this.#session.request('GET', `/last-seen-service/v1/users?${query({ ids: ids.join(',') })}`);
  }

  // The connection

  async #address(moveTo) {
    // Another tab has just signed somebody else in: this one is about to hear of it.
    if (this.user && this.user.id !== this.#owner) throw new RoostError({ title: 'Changing accounts' });
    const { ticket } = await this.#session.request('POST', '/user-service/v1/tickets');
    let url = moveTo;
    if (!url) {
      try {
        url = (await this.#session.publicRequest('GET', '/discovery-service/v1/node')).node.url;
      } catch {
        url = '/chat-service/v1/ws'; // the gateway chooses
      }
    }
    const address = new URL(url, this.base);
    address.protocol = address.protocol.replace(/^http/, 'ws');
    address.searchParams.set('ticket', ticket);
    return address.href;
  }

  #hello() {
    this.#synced = false;
    const hello = { type: 'hello', client: CLIENT };
    // The first connection leaves it to the server, which knows what this device acknowledged.
    if (this.#cursors.size > 0) hello.cursors = Object.fromEntries(this.#cursors);
    return hello;
  }

  #connection(state, detail) {
    if (state !== 'online') {
      this.#synced = false;
      for (const { timer } of this.#inFlight.values()) clearTimeout(timer);
      this.#inFlight.clear();
    }
    if (state === 'stopped') return;
    this.#enter(state, detail);
  }

  #enter(state, detail = {}) {
    this.#state = state;
    this.#emit('state', { state, ...detail });
  }

  #refused(error) {
    if (error.status !== 401 && error.status !== 403) return false;
    queueMicrotask(() => this.#signedOut());
    return true;
  }

  /** Another tab signed somebody else in: what this one holds is not theirs. */
  #replaced() {
    this.#end();
    this.connect();
  }

  #signedOut() {
    this.#session.forget();
    this.#end();
  }

  #end() {
    this.#socket.stop();
    this.#owner = null;
    this.#cursors.clear();
    this.#moved.clear();
    this.#watched.clear();
    this.#outbox = null;
    this.#enter('signed-out');
  }

  #received(frame) {
    switch (frame.type) {
      case 'event':
        this.#event(frame);
        break;
      case 'synced':
        this.#synced = true;
        this.#socket.settled();
        for (const [conversation, seq] of Object.entries(frame.cursors ?? {})) this.#hold(conversation, seq);
        if (this.#watched.size > 0) this.#socket.send({ type: 'watch', users: [...this.#watched] });
        this.#emit('synced', {});
        this.#flush();
        break;
      case 'ack':
        this.#acknowledged(frame);
        break;
      case 'error':
        this.#failed(frame);
        break;
      case 'receipt':
      case 'typing':
      case 'presence':
      case 'notification':
        this.#emit(frame.type, frame);
        break;
      default: // welcome, pong, goaway: the socket's; anything newer than this client is none of its business
        break;
    }
  }

  #event(event) {
    const held = this.#cursors.get(event.conversation);
    if (held !== undefined && event.seq <= held) return;
    if (held !== undefined && event.seq !== held + 1) {
      // The contract rules a gap out. Ask the log again rather than show it.
      this.#socket.restart();
      return;
    }
    this.#hold(event.conversation, event.seq);
    if (event.client_id) this.#outbox?.remove(event.client_id);
    this.#emit('event', event);
  }

  #hold(conversation, seq) {
    if (seq <= (this.#cursors.get(conversation) ?? 0)) return;
    this.#cursors.set(conversation, seq);
    this.#moved.add(conversation);
    this.#receivedTimer ??= setTimeout(() => {
      this.#receivedTimer = null;
      const cursors = Object.fromEntries([...this.#moved].map((id) => [id, this.#cursors.get(id)]));
      this.#moved.clear();
      // If it does not arrive, the next connection's hello says it again.
      this.#socket.send({ type: 'received', cursors });
    }, RECEIVED_EVERY_MS);
  }

  // The outbox

  #flush() {
    if (!this.#synced) return;
    const busy = new Set([...this.#inFlight.values()].map(({ entry }) => destination(entry)));
    for (const entry of this.outbox) {
      if (entry.error || busy.has(destination(entry))) continue;
      busy.add(destination(entry));
      this.#transmit(entry);
    }
  }

  #transmit(entry) {
    const frame = { type: 'send', ref: entry.client_id, client_id: entry.client_id, body: entry.body };
    if (entry.conversation) frame.conversation = entry.conversation;
    else frame.to = entry.to;
    if (!this.#socket.send(frame)) return;
    this.#again(entry, SEND_TIMEOUT_MS);
  }

  /** Keeps the entry in flight for a while and then sends it again: with the same client_id, that is harmless. */
  #again(entry, ms) {
    clearTimeout(this.#inFlight.get(entry.client_id)?.timer);
    const timer = setTimeout(() => {
      this.#inFlight.delete(entry.client_id);
      this.#flush();
    }, ms);
    this.#inFlight.set(entry.client_id, { entry, timer });
  }

  #landed(ref) {
    const sending = this.#inFlight.get(ref);
    if (!sending) return null;
    clearTimeout(sending.timer);
    this.#inFlight.delete(ref);
    return sending.entry;
  }

  #acknowledged(ack) {
    const entry = this.#landed(ack.ref);
    if (!entry) return;
    this.#outbox?.remove(entry.client_id);
    this.#emit('outbox', { entry, state: 'sent', ack });
    this.#flush();
  }

  #failed(error) {
    const sending = error.ref && this.#inFlight.get(error.ref);
    if (!sending) return;
    const passing = error.code === 'unavailable' || error.code === 'rate_limited' || error.code === 'internal';
    if (passing) return this.#again(sending.entry, error.retry_after_ms || 1000);
    const entry = this.#landed(error.ref);
    this.#outbox?.update(entry.client_id, { error: error.message || error.code });
    this.#emit('outbox', { entry, state: 'failed', error: error.message || error.code });
    this.#flush();
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

function destination(entry) {
  return entry.conversation ?? `to:${entry.to}`;
}

function query(parameters) {
  const set = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null);
  return new URLSearchParams(set).toString();
}
