// The REST calls of the contract, by what they are about. Each answers the decoded JSON or throws a RoostError.

const PREFIX = { direct: '/message-service/v1', group: '/group-message-service/v1' };
const USERS = '/user-service/v1';
const GROUPS = '/group-service/v1';

export class Api {
  #session;

  /** @param {import('./session.js').Session} session */
  constructor(session) {
    this.#session = session;
  }

  // Conversations. `kind` is 'direct' or 'group'.

  conversations(kind, { cursor, limit = 100 } = {}) {
    return this.#get(`${PREFIX[kind]}/conversations`, { cursor, limit });
  }

  /** Messages in their present state and, between them, what changed in the group. Newest first, or with `after` oldest first. */
  history(kind, conversation, { before, after, limit = 50 } = {}) {
    return this.#get(`${PREFIX[kind]}/conversations/${id(conversation)}/messages`, { before, after, limit, changes: true });
  }

  receipts(kind, conversation, message) {
    return this.#get(`${PREFIX[kind]}/conversations/${id(conversation)}/messages/${id(message)}/receipts`);
  }

  /** @param {string|null} until a time, or null for no longer */
  mute(kind, conversation, until) {
    return this.#send('PUT', `${PREFIX[kind]}/conversations/${id(conversation)}/mute`, { until });
  }

  search(kind, q, { conversation, from, before, after, limit = 20, cursor } = {}) {
    return this.#get(`${PREFIX[kind]}/search`, { q, conversation, from, before, after, limit, cursor });
  }

  // People

  findUsers(text, limit = 20) {
    return this.#get(`${USERS}/users`, { query: text, limit });
  }

  user(user) {
    return this.#get(`${USERS}/users/${id(user)}`);
  }

  me() {
    return this.#get(`${USERS}/users/me`);
  }

  /** @param {{display_name?, about?, last_seen_visibility?, read_receipts?}} changes */
  changeMe(changes) {
    return this.#send('PATCH', `${USERS}/users/me`, changes);
  }

  changePassword(current, wanted) {
    return this.#send('POST', `${USERS}/users/me/password`, { current, new: wanted });
  }

  devices() {
    return this.#get(`${USERS}/devices`, { limit: 100 });
  }

  logOutDevice(device) {
    return this.#send('DELETE', `${USERS}/devices/${id(device)}`);
  }

  blocks() {
    return this.#get(`${USERS}/blocks`, { limit: 100 });
  }

  block(user, blocked) {
    return this.#send(blocked ? 'PUT' : 'DELETE', `${USERS}/blocks/${id(user)}`);
  }

  // Groups

  /** @param {{name, about?, visibility, members?: string[]}} group */
  createGroup(group) {
    return this.#send('POST', `${GROUPS}/groups`, group);
  }

  findGroups(text, limit = 20) {
    return this.#get(`${GROUPS}/groups`, { query: text, limit });
  }

  group(group) {
    return this.#get(`${GROUPS}/groups/${id(group)}`);
  }

  changeGroup(group, changes) {
    return this.#send('PATCH', `${GROUPS}/groups/${id(group)}`, changes);
  }

  deleteGroup(group) {
    return this.#send('DELETE', `${GROUPS}/groups/${id(group)}`);
  }

  joinGroup(group) {
    return this.#send('POST', `${GROUPS}/groups/${id(group)}/join`);
  }

  members(group, { cursor, limit = 100 } = {}) {
    return this.#get(`${GROUPS}/groups/${id(group)}/members`, { cursor, limit });
  }

  /** Adds a member, or gives one another role. */
  putMember(group, user, role) {
    return this.#send('PUT', `${GROUPS}/groups/${id(group)}/members/${id(user)}`, { role });
  }

  /** Removes a member; oneself: leaves. */
  removeMember(group, user) {
    return this.#send('DELETE', `${GROUPS}/groups/${id(group)}/members/${id(user)}`);
  }

  ban(group, user, banned) {
    return this.#send(banned ? 'PUT' : 'DELETE', `${GROUPS}/groups/${id(group)}/bans/${id(user)}`);
  }

  bans(group) {
    return this.#get(`${GROUPS}/groups/${id(group)}/bans`, { limit: 100 });
  }

  createInvite(group, options = {}) {
    return this.#send('POST', `${GROUPS}/groups/${id(group)}/invites`, options);
  }

  invite(code) {
    return this.#get(`${GROUPS}/invites/${id(code)}`);
  }

  acceptInvite(code) {
    return this.#send('POST', `${GROUPS}/invites/${id(code)}`);
  }

  #get(path, parameters = {}) {
    const set = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null);
    const query = new URLSearchParams(set).toString();
    return this.#session.request('GET', query ? `${path}?${query}` : path);
  }

  #send(method, path, body) {
    return this.#session.request(method, path, body);
  }
}

function id(text) {
  return encodeURIComponent(text);
}
