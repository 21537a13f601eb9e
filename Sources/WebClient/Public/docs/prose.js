import { element } from '../page/dom.js';

/** Text with `code` and paragraphs, as elements. */
export function prose(text) {
  return text.split(/\n{2,}/).map((paragraph) =>
    element(
      'p',
      {},
      ...paragraph.split(/(`[^`]+`)/).map((part) => (part.startsWith('`') && part.length > 1 ? element('code', {}, part.slice(1, -1)) : part)),
    ),
  );
}
