// A group: what it is, its members, and for those who may, changing both.

import { avatar, nameOf } from '../avatar.js';
import { actionForm, choice, confirm, dialog, labelled } from '../dialog.js';
import { button, element } from '../dom.js';
import { explain } from '../errors.js';
import { count } from '../wording.js';
import { inviteDialog } from './invites.js';
import { memberList } from './members.js';
import { muteControl } from './mute.js';
import { choosePeople } from './people-chooser.js';
import { bansDialog } from './bans.js';

export const VISIBILITY = { private: 'Private: by invite only', public: 'Public: anybody can find and join it' };

export function groupDetails(roost, chats, conversation, { open }) {
  const group = () => conversation.group;
  const face = element('div', { className: 'face' });
  const about = element('p', { className: 'about-text' });
  const mute = muteControl(chats, conversation);
  const problem = element('p', { className: 'problem', role: 'alert' });
  const members = memberList(roost, chats, conversation, { open });
  const manage = element(
    'div',
    { className: 'buttons' },
    button('Add people', { className: 'quiet', on: () => add() }),
    button('Invite by link', { className: 'quiet', on: () => inviteDialog(roost, conversation) }),
    button('Edit group', { className: 'quiet', on: () => edit() }),
    button('Banned people', { className: 'quiet', on: () => bansDialog(roost, chats, conversation) }),
  );
  const leave = button('Leave group', { className: 'quiet danger', on: () => askLeave() });
  const remove = button('Delete group', { className: 'quiet danger', on: () => askDelete() });

  roost.api
    .group(group().id)
    .then((found) => {
      conversation.group = { ...conversation.group, ...found };
      chats.changed();
    })
    .catch((error) => {
      if (!conversation.gone) problem.textContent = explain(error);
    });

  function add() {
    const known = new Set((conversation.members ?? []).map(({ user }) => user));
    const chooser = choosePeople(roost, chats, { except: known });
    const shown = dialog('Add people', [
      actionForm({
        fields: [chooser.element],
        action: 'Add',
        submit: async () => {
          for (const user of chooser.chosen) {
            await roost.api.putMember(group().id, user.id, 'member');
            chooser.drop(user);
          }
        },
        done: () => shown.close(),
      }),
    ]);
    chooser.focus();
  }

  function edit() {
    const name = element('input', { name: 'name', value: group().name, maxLength: 64, required: true });
    const what = element('textarea', { name: 'about', value: group().about ?? '', maxLength: 500, rows: 3 });
    const visibility = choice(VISIBILITY, group().visibility);
    const shown = dialog('Edit group', [
      actionForm({
        fields: [labelled('Name', name), labelled('About', what), labelled('Who can join', visibility)],
        action: 'Save',
        submit: async () => {
          const wanted = { name: name.value.trim(), about: what.value.trim(), visibility: visibility.value };
          const changes = Object.fromEntries(Object.entries(wanted).filter(([field, value]) => value !== (group()[field] ?? '')));
          if (Object.keys(changes).length > 0) await roost.api.changeGroup(group().id, changes);
        },
        done: () => shown.close(),
      }),
    ]);
    name.focus();
  }

  function askLeave() {
    confirm({
      title: `Leave ${conversation.name}?`,
      text: 'You get no more of its messages. What was said until now stays readable here.',
      action: 'Leave',
      submit: () => roost.api.removeMember(group().id, chats.me),
    });
  }

  function askDelete() {
    confirm({
      title: `Delete ${conversation.name}?`,
      text: 'The group ends for everybody in it. This can not be undone.',
      action: 'Delete group',
      submit: () => roost.api.deleteGroup(group().id),
    });
  }

  function render() {
    const { visibility, member_count: size } = group();
    const people = size ? `, ${count(size, 'member')}` : '';
    face.replaceChildren(
      avatar(group(), { group: true }),
      element('strong', { textContent: nameOf(group()) }),
      element('span', { className: 'detail', textContent: `${visibility === 'public' ? 'Public group' : 'Private group'}${people}` }),
    );
    about.textContent = group().about ?? '';
    about.hidden = !group().about;
    manage.hidden = !conversation.manages;
    leave.hidden = !conversation.role;
    remove.hidden = conversation.role !== 'owner';
    mute.element.hidden = Boolean(conversation.gone);
    mute.render();
    members.render();
  }

  return {
    element: element('div', {}, face, about, problem, mute.element, manage, members.element, element('div', { className: 'buttons' }, leave, remove)),
    render,
  };
}
