// Joining a group: a public one that was found, or one that a link leads to.

import { avatar } from '../avatar.js';
import { actionForm, dialog } from '../dialog.js';
import { element } from '../dom.js';
import { explain } from '../errors.js';
import { count } from '../wording.js';

export function joinGroup(roost, group, done) {
  ask(group, () => roost.api.joinGroup(group.id), done);
}

/** What an invite leads to. Somebody who is in the group already is led there. */
export async function showInvite(roost, code, done) {
  let found;
  try {
    found = await roost.api.invite(code);
  } catch (error) {
    const gone = error.code === 'not_found' ? 'This invite does not work any more. Ask for a new one.' : explain(error);
    dialog('Invite', [element('p', { className: 'problem', textContent: gone })], { className: 'small' });
    return;
  }
  const { group } = found;
  if (group.role) done(group);
  else ask(group, () => roost.api.acceptInvite(code), done);
}

function ask(group, join, done) {
  let joined = null;
  const shown = dialog(
    `Join ${group.name}?`,
    [
      element(
        'div',
        { className: 'face' },
        avatar(group, { group: true }),
        element('strong', { textContent: group.name }),
        element('span', { className: 'detail', textContent: count(group.member_count ?? 0, 'member') }),
      ),
      group.about ? element('p', { className: 'about-text', textContent: group.about }) : null,
      actionForm({
        fields: [],
        action: 'Join',
        submit: async () => {
          joined = await join();
        },
        done: () => {
          shown.close();
          done(joined ?? group);
        },
      }),
    ],
    { className: 'small' },
  );
  shown.element.querySelector('.primary').focus();
}
