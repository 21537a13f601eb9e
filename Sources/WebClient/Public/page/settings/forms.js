import { actionForm, choice, labelled } from '../dialog.js';
import { element } from '../dom.js';
import { notice } from '../notice.js';

const SEEN_BY = { everyone: 'Everyone', contacts: 'People I have talked with', nobody: 'Nobody' };

export function profileForm(roost) {
  const { display_name, about = '', username } = roost.user;
  const name = element('input', { name: 'display_name', value: display_name ?? '', maxLength: 64, autocomplete: 'name' });
  const text = element('textarea', { name: 'about', value: about, rows: 3, maxLength: 500 });
  return actionForm({
    fields: [labelled('Name shown to others', name), labelled('About you', text), element('p', { className: 'detail', textContent: `Your username is @${username}.` })],
    action: 'Save',
    submit: () => roost.changeProfile({ display_name: name.value.trim(), about: text.value.trim() }),
    done: () => notice('Saved.'),
  });
}

export function privacyForm(roost) {
  const { last_seen_visibility: visibility = 'everyone', read_receipts: receipts = true } = roost.user;
  const seen = choice(SEEN_BY, visibility);
  const read = element('input', { type: 'checkbox', name: 'read_receipts', checked: receipts });
  return actionForm({
    fields: [
      labelled('Who sees when you were here', seen),
      element(
        'label',
        { className: 'check' },
        read,
        element('span', {}, 'Delivered and read receipts', element('small', { textContent: 'Without them nobody sees what you have read, and you do not see it of others.' })),
      ),
    ],
    action: 'Save',
    submit: () => roost.changeProfile({ last_seen_visibility: seen.value, read_receipts: read.checked }),
    done: () => notice('Saved.'),
  });
}

export function passwordForm(roost) {
  const current = element('input', { type: 'password', name: 'current', autocomplete: 'current-password' });
  const wanted = element('input', { type: 'password', name: 'new', autocomplete: 'new-password' });
  return actionForm({
    fields: [labelled('Current password', current), labelled('New password', wanted, 'At least 8 characters. Your other devices are logged out.')],
    action: 'Change password',
    submit: async () => {
      if ([...wanted.value].length < 8) throw new Error('The new password needs at least 8 characters.');
      await roost.api.changePassword(current.value, wanted.value);
    },
    done: () => {
      current.value = '';
      wanted.value = '';
      notice('The password is changed.');
    },
  });
}
