/**
 * Makes an element. Text becomes text nodes, never markup.
 * @param {string} tag
 * @param {object} [properties] DOM properties; `on` holds event listeners, `data` data attributes, `aria` ARIA attributes
 * @param {...(Node|string|null|false)} children
 */
export function element(tag, { on = {}, data = {}, aria = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  for (const [name, listener] of Object.entries(on)) made.addEventListener(name, listener);
  for (const [name, value] of Object.entries(data)) made.dataset[name] = value;
  for (const [name, value] of Object.entries(aria)) made.setAttribute(`aria-${name}`, value);
  made.append(...children.filter((child) => child !== null && child !== false && child !== undefined));
  return made;
}

/** Runs `action` at most once a frame, however often the function it returns is called. */
export function oncePerFrame(action) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      action();
    });
  };
}

/**
 * Makes `children` the children of `parent`, touching only what differs: what stays keeps its focus and its selection.
 * @param {Element} parent
 * @param {Element[]} children
 */
export function reconcile(parent, children) {
  const kept = new Set(children);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  let place = parent.firstElementChild;
  for (const child of children) {
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
}

/** A button with a word or a sign on it; a sign needs a `label`, its name for those who do not see it. */
export function button(face, { label, on, className = '', ...properties } = {}) {
  const named = label ? { title: label, aria: { label } } : {};
  return element('button', { type: 'button', className, on: on ? { click: on } : {}, ...named, ...properties }, face);
}
