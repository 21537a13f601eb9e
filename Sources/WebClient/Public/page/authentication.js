// Register and log in: checks while typing, a button that waits for valid fields, the server's errors at their field.

import { element } from './dom.js';

const FIELDS = {
  username: {
    label: 'Username',
    hint: '3 to 32 of a–z, 0–9, dot, dash, underscore',
    autocomplete: 'username',
    check: (value) => /^[a-z0-9_.-]{3,32}$/.test(value) || 'Use 3 to 32 of a–z, 0–9, dot, dash and underscore.',
  },
  email: {
    label: 'Email',
    type: 'email',
    autocomplete: 'email',
    check: (value) => /^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(value) || 'This is not an email address.',
  },
  display_name: {
    label: 'Name shown to others (optional)',
    autocomplete: 'name',
    optional: true,
    check: (value) => [...value].length <= 64 || 'At most 64 characters.',
  },
  login: {
    label: 'Username or email',
    autocomplete: 'username',
    check: (value) => value.length > 0 || 'Who are you?',
  },
  password: {
    label: 'Password',
    type: 'password',
    autocomplete: 'current-password',
    check: (value) => value.length > 0 || 'A password is needed.',
  },
  new_password: {
    label: 'Password',
    hint: 'at least 8 characters',
    type: 'password',
    autocomplete: 'new-password',
    server: 'password',
    check: (value) => {
      const length = [...value].length;
      if (length < 8) return 'At least 8 characters.';
      return length <= 256 || 'At most 256 characters.';
    },
  },
};

export function authentication(roost) {
  const root = element('main', { className: 'authentication' });
  const showLogin = () =>
    root.replaceChildren(
      form({
        id: 'login-form',
        title: 'Log in',
        fields: ['login', 'password'],
        action: 'Log in',
        submit: (values) => roost.login(values),
        other: ['New here?', 'Create an account', showRegister],
      }),
    );
  const showRegister = () =>
    root.replaceChildren(
      form({
        id: 'register-form',
        title: 'Create an account',
        fields: ['username', 'email', 'display_name', 'new_password'],
        action: 'Create account',
        submit: (values) =>
          roost.register({
            username: values.username,
            email: values.email,
            displayName: values.display_name,
            password: values.new_password,
          }),
        other: ['Already have an account?', 'Log in', showLogin],
      }),
    );
  if (location.hash === '#register') showRegister();
  else showLogin();
  return root;
}

function form({ id, title, fields, action, submit, other: [question, answer, switchOver] }) {
  const inputs = fields.map((name) => field(name));
  const problem = element('p', { className: 'problem', role: 'alert' });
  const button = element('button', { type: 'submit', className: 'primary', textContent: action, disabled: true });
  const valid = () => inputs.every((input) => input.valid());
  const made = element(
    'form',
    {
      id,
      noValidate: true,
      on: {
        input: () => {
          problem.textContent = '';
          button.disabled = !valid();
        },
        submit: async (event) => {
          event.preventDefault();
          if (!valid() || made.classList.contains('busy')) return;
          made.classList.add('busy');
          button.disabled = true;
          button.textContent = 'One moment…';
          try {
            await submit(Object.fromEntries(inputs.map((input) => [input.name, input.value()])));
          } catch (error) {
            show(error);
          } finally {
            made.classList.remove('busy');
            button.textContent = action;
            button.disabled = !valid();
          }
        },
      },
    },
    element('img', { src: '/icon.svg', alt: '', width: 48, height: 48 }),
    element('h1', { textContent: title }),
    ...inputs.map((input) => input.element),
    problem,
    button,
    element(
      'p',
      { className: 'switch' },
      `${question} `,
      element('button', { type: 'button', className: 'link', textContent: answer, on: { click: switchOver } }),
    ),
  );
  const show = (error) => {
    let placed = false;
    for (const input of inputs) {
      const message = error.field?.(input.server);
      if (message) {
        input.refuse(message);
        placed = true;
      }
    }
    if (!placed) problem.textContent = error.message;
  };
  return made;
}

function field(name) {
  const { label, hint = '', type = 'text', autocomplete, optional, check, server = name } = FIELDS[name];
  const note = element('small', { id: `${name}-note`, textContent: hint });
  const input = element('input', {
    id: name,
    name,
    type,
    autocomplete,
    autocapitalize: 'none',
    spellcheck: false,
    aria: { describedby: note.id },
  });
  let touched = false;
  let refused = null; // the value that the server did not take
  const value = () => (type === 'password' ? input.value : input.value.trim());
  const fault = () => {
    if (refused?.value === value()) return refused.message;
    if (optional && value() === '') return null;
    const result = check(value());
    return result === true ? null : result;
  };
  const render = () => {
    const message = touched ? fault() : null;
    input.setAttribute('aria-invalid', message ? 'true' : 'false');
    note.textContent = message ?? hint;
    note.classList.toggle('fault', Boolean(message));
  };
  input.addEventListener('blur', () => {
    touched ||= input.value !== '';
    render();
  });
  input.addEventListener('input', () => {
    // While typing, a fault is shown only once the field had been left or refused: nobody likes being told off mid-word.
    if (touched || fault() === null) render();
  });
  return {
    name,
    server,
    value,
    valid: () => fault() === null,
    refuse: (message) => {
      refused = { value: value(), message };
      touched = true;
      render();
      input.focus();
    },
    element: element('label', { htmlFor: name, className: 'field' }, element('span', { textContent: label }), input, note),
  };
}
