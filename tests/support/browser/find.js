// The body of a function of a selector, a name or null, and "name" if the first one's name is wanted in place of all of them.
const [selector, wanted, answer] = arguments;
const squeeze = text => (text ?? '').replace(/\s+/g, ' ').trim();
// A label's text without the control in it, whose options would be part of it.
const labelText = label => {
  const copy = label.cloneNode(true);
  copy.querySelectorAll('input, select, textarea, button').forEach(control => control.remove());
  return copy.textContent;
};
const named = ids => ids.split(/\s+/).map(id => document.getElementById(id)?.textContent).join(' ');
const name = element => {
  if (element.hasAttribute('aria-labelledby')) return squeeze(named(element.getAttribute('aria-labelledby')));
  const label = [...(element.labels ?? [])].map(labelText).join(' ');
  const own = element.matches('input[type=submit], input[type=button]') ? element.value : element.matches('input, select, textarea') ? '' : element.innerText;
  return [element.getAttribute('aria-label'), label, own, element.querySelector('img[alt]')?.alt, element.title].map(squeeze).find(text => text) ?? '';
};
const dialog = [...document.querySelectorAll('dialog:modal')].pop();
const found = [...document.querySelectorAll(selector)]
  .filter(element => !dialog || dialog.contains(element))
  .filter(element => element.checkVisibility({ visibilityProperty: true }))
  .filter(element => wanted === null || name(element) === squeeze(wanted));
return answer === 'name' ? (found.length ? name(found[0]) : '') : found;
