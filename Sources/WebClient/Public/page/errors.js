// What to say when something did not work, and what to do about it.

/** @param {Error} error usually a RoostError */
export function explain(error) {
  const field = error.errors?.map(({ field: name, message }) => `${name} ${message}`).join('; ');
  switch (error.code) {
    case 'rate_limited':
      return `That was too much at once. ${error.retryAfter ? `Try again in ${waiting(error.retryAfter)}.` : 'Try again in a moment.'}`;
    case 'unavailable':
      return error.status === 0
        ? 'There is no connection now. Try again when you are back online.'
        : `${sentence(error.message)} Try again in ${waiting(error.retryAfter ?? 5)}.`;
    case 'unauthorized':
      return 'You are no longer signed in here. Reload the page and log in.';
    case 'forbidden':
      return `${sentence(error.message, 'You may not do this.')}`;
    case 'not_found':
      return `${sentence(error.message, 'This is not there any more.')}`;
    case 'invalid':
    case 'too_large':
    case 'conflict':
      return sentence(field || error.message);
    case 'internal':
      return 'Something went wrong at the server. Try again; if it stays so, tell whoever runs it.';
    default:
      return sentence(error.message, 'That did not work.');
  }
}

export function waiting(seconds) {
  const whole = Math.max(1, Math.ceil(seconds));
  if (whole < 90) return `${whole} s`;
  return `${Math.ceil(whole / 60)} min`;
}

function sentence(text, otherwise = 'That did not work.') {
  if (!text || /^[a-z_]+$/.test(text)) return otherwise;
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
