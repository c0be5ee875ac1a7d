// Keeps /regions current: each second the server sends the changing part of the page, and this changes
// what differs, so that the focus, the selection and the place on the page stay.
"use strict";

const AGAIN_MS = 10_000;
const OLD_MS = 5_000;
const part = document.getElementById("overview");
const connection = document.getElementById("connection");
let events = null;
let warning = 0;

function update(old, next) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== next.data) old.data = next.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!next.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  updateChildren(old, next);
}

function updateChildren(old, next) {
  // A copy of the list: a node that is moved to the page leaves it.
  const children = [...next.childNodes];
  children.forEach((child, index) => {
    const there = old.childNodes[index];
    if (!there) old.append(child);
    else if (there.nodeName === child.nodeName) update(there, child);
    else there.replaceWith(child);
  });
  while (old.childNodes.length > children.length) old.lastChild.remove();
}

function watch() {
  if (document.hidden) return;
  events?.close();
  events = new EventSource("/regions/events?format=html");
  events.addEventListener("part", ({ data }) => {
    const next = document.createElement("template");
    next.innerHTML = data;
    updateChildren(part, next.content);
    tell("Live: updated each second.");
    clearTimeout(warning);
  });
  events.addEventListener("error", () => {
    // The server ends the updates now and then, and the browser asks again by itself, unless the server
    // has refused.
    clearTimeout(warning);
    warning = setTimeout(tell, OLD_MS, "Not live: this instance does not answer, or has too many viewers.");
    if (events.readyState === EventSource.CLOSED) setTimeout(watch, AGAIN_MS);
  });
}

// A screen reader reads what is written again, also if it is the same.
function tell(text) {
  if (connection.textContent !== text) connection.textContent = text;
}

// A browser has few connections to one host: a page that is not seen gives its own back.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) events?.close();
  else watch();
});
watch();
