// Making a group.

import { actionForm, choice, dialog, labelled } from '../dialog.js';
import { element } from '../dom.js';
import { VISIBILITY } from './group.js';
import { choosePeople } from './people-chooser.js';

export function newGroup(roost, chats, done) {
  const name = element('input', { name: 'name', maxLength: 64, autocomplete: 'off' });
  const about = element('textarea', { name: 'about', maxLength: 500, rows: 2 });
  const visibility = choice(VISIBILITY, 'private');
  const people = choosePeople(roost, chats);
  let group = null;
  const shown = dialog('New group', [
    actionForm({
      fields: [
        labelled('Name', name),
        labelled('About (optional)', about),
        labelled('Who can join', visibility),
        element('div', { className: 'field' }, element('span', { textContent: 'Members' }), people.element),
      ],
      action: 'Create group',
      submit: async () => {
        if (name.value.trim() === '') {
          name.focus();
          throw new Error('Give the group a name.');
        }
        group = await roost.api.createGroup({
          name: name.value.trim(),
          about: about.value.trim(),
          visibility: visibility.value,
          members: people.chosen.map(({ id }) => id),
        });
      },
      done: () => {
        shown.close();
        done(group);
      },
    }),
  ]);
  name.focus();
}
