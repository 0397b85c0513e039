// How things come onto the screen: always as text, never as markup; what has not changed is not touched.

export const place = (id) => document.getElementById(id);

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Texts into the elements that carry `data-text`.
export function fill(element, texts) {
  for (const [name, text] of Object.entries(texts)) {
    const target = element.querySelector(`[data-text="${name}"]`);
    if (target) setText(target, text);
  }
}

export const copyOf = (template) => place(template).content.firstElementChild.cloneNode(true);

// One child of *list* per item, kept while its key stays, so that focus and selection survive.
export function keyed(list, items, keyOf, make, update) {
  const old = new Map([...list.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, index) => {
    const key = keyOf(item);
    const child = old.get(key) ?? make(item);
    old.delete(key);
    child.dataset.key = key;
    update(child, item);
    if (list.children[index] !== child) list.insertBefore(child, list.children[index] ?? null);
  });
  for (const child of old.values()) child.remove();
}

// A row of a table; each cell is text that stands for itself, whatever its direction.
export function row(count) {
  const line = document.createElement("tr");
  for (let index = 0; index < count; index++) {
    line.append(document.createElement("td"));
    line.lastChild.append(document.createElement("bdi"));
  }
  return line;
}

export function fillRow(line, texts) {
  texts.forEach((text, index) => {
    const cell = line.children[index].firstChild;
    if (cell.textContent === text) return;
    cell.textContent = text;
    cell.title = text.length > 24 ? text : "";
  });
}

// Calls *work* again and again, and never while the page is out of sight. `start` begins anew.
export function every(ms, work) {
  let timer = 0;
  let turn = 0;
  const go = async (mine) => {
    if (!document.hidden) await work();
    if (mine === turn) timer = setTimeout(go, ms, mine);
  };
  const stop = () => {
    turn += 1;
    clearTimeout(timer);
  };
  return { stop, start: () => (stop(), go(turn)) };
}
