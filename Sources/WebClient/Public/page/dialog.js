// Modal dialogs, on the browser's own <dialog>: it keeps the focus within and closes on Escape.

import { button, element } from './dom.js';
import { explain } from './errors.js';
import { icon } from './icons.js';

/**
 * Opens a dialog.
 * @param {string} title
 * @param {(Node|null)[]} content
 * @returns {{element: HTMLDialogElement, close: () => void}}
 */
export function dialog(title, content, { className = '' } = {}) {
  const heading = element('h2', { id: 'dialog-title', textContent: title });
  const made = element(
    'dialog',
    { className: `dialog ${className}`, aria: { labelledby: heading.id }, on: { close: () => closed() } },
    element('header', {}, heading, button(icon('close'), { label: 'Close', className: 'icon', on: () => made.close() })),
    ...content,
  );
  const closed = () => {
    made.remove();
    // Chromium gives the focus back, but a text that had it takes no letters until it gets the focus once more.
    const focused = document.activeElement;
    focused?.blur();
    focused?.focus({ preventScroll: true });
  };
  // A press on the backdrop, which counts as the dialog itself.
  made.addEventListener('pointerdown', (event) => event.target === made && made.close());
  document.body.append(made);
  made.showModal();
  return { element: made, close: () => made.close() };
}

/**
 * A form with its button and a place for what went wrong. `submit` may throw; when it does not, `done` is called.
 * @param {object} options
 * @param {(Node|null)[]} options.fields
 * @param {string} options.action the button's word
 */
export function actionForm({ fields, action, submit, done = () => {}, danger = false, className = '' }) {
  const problem = element('p', { className: 'problem', role: 'alert' });
  const go = element('button', { type: 'submit', className: danger ? 'primary danger' : 'primary', textContent: action });
  return element(
    'form',
    {
      className: `action-form ${className}`,
      noValidate: true,
      on: {
        input: () => (problem.textContent = ''),
        submit: async (event) => {
          event.preventDefault();
          if (go.disabled) return;
          go.disabled = true;
          problem.textContent = '';
          try {
            await submit();
            done();
          } catch (error) {
            problem.textContent = explain(error);
          } finally {
            go.disabled = false;
          }
        },
      },
    },
    ...fields,
    problem,
    element('div', { className: 'actions' }, go),
  );
}

/** Asks whether to go on; `submit` does it, and its failure is shown in the dialog. */
export function confirm({ title, text, action, submit }) {
  const form = actionForm({
    fields: [element('p', { textContent: text })],
    action,
    submit,
    danger: true,
    done: () => shown.close(),
  });
  form.querySelector('.actions').prepend(button('Cancel', { className: 'quiet', on: () => shown.close() }));
  const shown = dialog(title, [form], { className: 'small' });
  form.querySelector('.primary').focus();
}

/** A labelled input, textarea or select. */
export function labelled(label, input, hint = '') {
  const note = hint ? element('small', { textContent: hint }) : null;
  return element('label', { className: 'field' }, element('span', { textContent: label }), input, note);
}

export function choice(options, value) {
  return element(
    'select',
    {},
    ...Object.entries(options).map(([key, textContent]) => element('option', { value: key, textContent, selected: key === value })),
  );
}
