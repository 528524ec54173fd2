// Elements from plain values. Whatever is shown becomes text, never markup: nothing here parses HTML,
// and the page's policy (Trusted Types) would refuse it.

const HOSTILE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

// What would turn the direction of writing or hide something is spelt out.
export function shown(text) {
  return String(text).replaceAll("\r\n", "\n").replace(HOSTILE, (found) => {
    const code = found.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

// An element: `attributes` are set as they are, `on...` functions listen, children are elements or text.
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : shown(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(shown(child)));
  }
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(...h("div", {}, ...children).childNodes);
}

// Change a text only where it differs: most of a page stays as it is.
export function say(element, text) {
  const words = shown(text);
  if (element.textContent !== words) element.textContent = words;
}

export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter((pair) => pair[1]).map(
    ([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

export function command(words) {
  const button = h("button", { type: "button", class: "small", onclick: async () => {
    await navigator.clipboard.writeText(words);
    say(button, "Copied");
  } }, "Copy");
  return h("span", { class: "command" }, h("code", {}, words), navigator.clipboard ? button : null);
}
