// Who is signed in: tokens, kept in storage, and REST calls made with them.

/** An answer that is not 2xx, or none at all (`status` 0). Fields as in the contract's problem details. */
export class RoostError extends Error {
  constructor({ status = 0, code = 'unavailable', title = '', detail = '', errors = [], retryAfter = null }) {
    super(detail || title || code);
    this.name = 'RoostError';
    this.status = status;
    this.code = code;
    this.errors = errors;
    /** Seconds that the server asks to wait, or null. */
    this.retryAfter = retryAfter;
  }

  /** The message for one field of the request, or null. */
  field(name) {
    return this.errors.find((error) => error.field === name)?.message ?? null;
  }
}

/** Access tokens are renewed when they have less than this left. */
const RENEW_BEFORE_MS = 30_000;

export class Session {
  #base;
  #storage;
  #key;

  /**
   * @param {object} options
   * @param {string} options.base the gateway's URL
   * @param {Storage} options.storage where the tokens are kept; shared by the tabs of a browser
   * @param {string} [options.key] the name they are kept under
   */
  constructor({ base, storage, key = 'roost.session' }) {
    this.#base = base.replace(/\/$/, '');
    this.#storage = storage;
    this.#key = key;
  }

  /** What is kept, or null when nobody is signed in: {user, device, access_token, refresh_token, expires_at}. */
  get current() {
    try {
      return JSON.parse(this.#storage.getItem(this.#key));
    } catch {
      return null;
    }
  }

  get user() {
    return this.current?.user ?? null;
  }

  async register({ username, email, password, displayName }) {
    const body = { username, email, password };
    if (displayName) body.display_name = displayName;
    return this.#signedIn(await this.#fetch('POST', '/user-service/v1/users', body));
  }

  async login({ login, password }) {
    const body = { login, password, device_name: deviceName() };
    // The same browser stays the same device, so that its cursors go on where they were.
    const device = this.#storage.getItem(`${this.#key}.device.${login.toLowerCase()}`);
    if (device) body.device = device;
    let answer;
    try {
      answer = await this.#fetch('POST', '/user-service/v1/sessions', body);
    } catch (error) {
      const deviceRefused = device && (error.code === 'not_found' || error.code === 'forbidden' || error.field?.('device'));
      if (!deviceRefused) throw error;
      delete body.device;
      answer = await this.#fetch('POST', '/user-service/v1/sessions', body);
    }
    return this.#signedIn(answer);
  }

  async logout() {
    try {
      await this.request('DELETE', '/user-service/v1/devices/current');
    } finally {
      this.forget();
    }
  }

  /** The account has changed. */
  keep(user) {
    const current = this.current;
    if (current) this.#storage.setItem(this.#key, JSON.stringify({ ...current, user: { ...current.user, ...user } }));
  }

  /** Drops the tokens of this browser. */
  forget() {
    this.#storage.removeItem(this.#key);
  }

  /** A call with the access token, which is renewed first when it is about to expire. Answers the decoded JSON. */
  async request(method, path, body) {
    let token = await this.#accessToken();
    try {
      return await this.#fetch(method, path, body, token);
    } catch (error) {
      if (error.status !== 401) throw error;
      // The token may have been ended or the clocks may differ: one try with a new one.
      token = await this.#renew(token);
      return this.#fetch(method, path, body, token);
    }
  }

  /** A call that needs no account. */
  publicRequest(method, path, body) {
    return this.#fetch(method, path, body);
  }

  async #accessToken() {
    const current = this.current;
    if (!current) throw new RoostError({ status: 401, code: 'unauthorized', title: 'Not signed in' });
    if (current.expires_at - Date.now() > RENEW_BEFORE_MS) return current.access_token;
    return this.#renew(current.access_token);
  }

  /** Renews once for all tabs: a refresh token is good once, and a second use of it would end the session. */
  async #renew(stale) {
    const renew = async () => {
      const current = this.current;
      if (!current) throw new RoostError({ status: 401, code: 'unauthorized', title: 'Not signed in' });
      if (current.access_token !== stale) return current.access_token;
      try {
        const answer = await this.#fetch('POST', '/user-service/v1/sessions/refresh', {
          refresh_token: current.refresh_token,
        });
        this.#signedIn(answer);
        return answer.access_token;
      } catch (error) {
        if (error.status === 401 || error.status === 403) this.forget();
        throw error;
      }
    };
    return globalThis.navigator?.locks ? navigator.locks.request(this.#key, renew) : renew();
  }

  #signedIn(answer) {
    const { user, device, access_token, refresh_token, expires_in } = answer;
    const kept = { user, device, access_token, refresh_token, expires_at: Date.now() + expires_in * 1000 };
    this.#storage.setItem(this.#key, JSON.stringify(kept));
    const id = typeof device === 'string' ? device : device?.id;
    for (const login of [user.username, user.email]) {
      if (login && id) this.#storage.setItem(`${this.#key}.device.${login.toLowerCase()}`, id);
    }
    return kept;
  }

  async #fetch(method, path, body, token) {
    const headers = {};
    if (token) headers.Authorization = `Bearer ${token}`;
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    let response;
    try {
      response = await fetch(this.#base + path, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.timeout(20_000),
      });
    } catch (cause) {
      throw new RoostError({ title: 'The server can not be reached', detail: 'The server can not be reached. Is the network up?' });
    }
    const text = await response.text();
    let json = null;
    try {
      json = text ? JSON.parse(text) : null;
    } catch {
      // Not JSON: what follows says so by its status.
    }
    if (response.ok) return json;
    const retryAfter = Number(response.headers.get('Retry-After')) || null;
    throw new RoostError({ status: response.status, retryAfter, ...(json ?? { title: `HTTP ${response.status}` }), });
  }
}

function deviceName() {
  const agent = globalThis.navigator?.userAgent ?? '';
  const browser = agent.match(/(Firefox|Edg|Chrome|Safari)\//)?.[1] ?? 'Browser';
  const system = agent.match(/(Windows|Mac OS X|Android|iPhone|Linux)/)?.[1] ?? '';
  return [browser === 'Edg' ? 'Edge' : browser, system].filter(Boolean).join(' on ');
}
