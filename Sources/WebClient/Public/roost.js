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
// - outbox: {entry, state: 'queued'|'waiting'|'sent'|'failed', ack?, error?}
// - profile: the account as it is now
// - receipt, typing, presence, muted, notification: the frame
//
// `roost.api` has the REST calls.

import { Api } from './roost/api.js';
import { Outbox, newClientID } from './roost/outbox.js';
import { Requests } from './roost/requests.js';
import { Sender } from './roost/sender.js';
import { RoostError, Session } from './roost/session.js';
import { Socket } from './roost/socket.js';

export { RoostError };

const CLIENT = 'roost.js/1';
/** How long acknowledgements of received events are collected. */
const RECEIVED_EVERY_MS = 150;

export class Roost extends EventTarget {
  #session;
  #storage;
  #socket;
  #requests;
  #sender;
  #outbox = null;
  /** Whose connection and outbox these are; the session in storage may have become another's. */
  #owner = null;
  #state = 'signed-out';
  /** Per conversation, the last seq that this client holds. Events at or below it are repeats. */
  #cursors = new Map();
  /** Conversations whose cursor moved since the last `received`. */
  #moved = new Set();
  #receivedTimer = null;
  #watched = new Set();
  #synced = false;

  constructor({ base = globalThis.location?.origin, storage = globalThis.localStorage } = {}) {
    super();
    this.base = base;
    this.#storage = storage;
    this.#session = new Session({ base, storage });
    this.api = new Api(this.#session);
    const send = (frame) => this.#synced && this.#socket.send(frame);
    this.#requests = new Requests(send);
    this.#sender = new Sender({ outbox: () => this.#outbox, send, report: (detail) => this.#emit('outbox', detail) });
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

  /** Changes the account's profile or privacy; fields as in REST. */
  async changeProfile(changes) {
    this.#session.keep(await this.api.changeMe(changes));
    this.#emit('profile', this.user);
  }

  // Messages

  /**
   * Writes a message into the outbox, from where it is sent now or when there is a connection.
   * @param {{to?: string, conversation?: string, text: string, format?: string, replyTo?: string, mentions?: string[]}} message
   * @returns its outbox entry
   */
  send({ to, conversation, ...message }) {
    const body = makeBody(message);
    const entry = { client_id: newClientID(), body, written_at: new Date().toISOString() };
    if (conversation) entry.conversation = conversation;
    else entry.to = to;
    this.#outbox.add(entry);
    this.#emit('outbox', { entry, state: 'queued' });
    this.#sender.flush();
    return entry;
  }

  /** Sends a refused entry again. */
  retry(clientID) {
    this.#outbox.update(clientID, { error: undefined });
    this.#sender.flush();
  }

  /** Gives an entry up. */
  discard(clientID) {
    this.#outbox.remove(clientID);
  }

  /** Changes what an own message says. Resolves when it is done; so do the two below. */
  edit({ conversation, message, ...changed }) {
    return this.#requests.request({ type: 'edit', conversation, message, body: makeBody(changed) });
  }

  delete({ conversation, message }) {
    return this.#requests.request({ type: 'delete', conversation, message });
  }

  react({ conversation, message, emoji, remove = false }) {
    return this.#requests.request({ type: 'react', conversation, message, emoji, remove });
  }

  /** Says that the user has read a conversation up to `seq`. False without a connection: say it again after `synced`. */
  read(conversation, seq) {
    return this.#synced && this.#socket.send({ type: 'read', conversation, seq });
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
      this.#sender.lost();
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
    this.#requests.end();
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
        this.#requests.again();
        this.#emit('synced', {});
        this.#sender.flush();
        break;
      case 'ack':
        if (!this.#requests.answered(frame)) this.#sender.acknowledged(frame);
        break;
      case 'error':
        if (!this.#requests.answered(frame)) this.#sender.refused(frame);
        break;
      case 'receipt':
      case 'typing':
      case 'presence':
      case 'muted':
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
    // Who comes back into a group starts at the join; what was said meanwhile is not for them.
    const back = event.kind === 'member' && event.change === 'joined' && event.user === this.user?.id;
    if (held !== undefined && event.seq !== held + 1 && !back) {
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

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

function makeBody({ text, format = 'plain', replyTo, mentions = [] }) {
  const body = { text, format };
  if (replyTo) body.reply_to = replyTo;
  if (mentions.length > 0) body.mentions = mentions;
  return body;
}
