// What the log's events about a group change in what the page holds of it.

/** Answers whether the list should be read anew: the user is (again) in the group. */
export function memberEvent(conversation, { user, change, role, seq }, me) {
  const group = conversation.group ?? {};
  const out = change === 'left' || change === 'removed' || change === 'banned';
  if (seq >= (conversation.membersSeq ?? 0)) {
    conversation.membersSeq = seq;
    if (conversation.members) {
      const others = conversation.members.filter((member) => member.user !== user);
      conversation.members = out ? others : [...others, { user, role: role || 'member' }];
      conversation.group = { ...group, member_count: conversation.members.length };
    } else if (change !== 'role') {
      conversation.group = { ...group, member_count: Math.max(0, (group.member_count ?? 0) + (out ? -1 : 1)) };
    }
  }
  if (out) conversation.cursors.delete(user);
  if (user !== me) return false;
  if (out) conversation.gone = change;
  else conversation.group = { ...conversation.group, role: role || 'member' };
  const back = change === 'joined' && conversation.gone;
  if (back) conversation.gone = null;
  return Boolean(back);
}

export function groupEvent(conversation, { group }) {
  if (!group) return;
  const { name, about, visibility, avatar = null } = group;
  conversation.group = { ...conversation.group, name, about, visibility, avatar };
  if (group.deleted) conversation.gone = 'deleted';
}
