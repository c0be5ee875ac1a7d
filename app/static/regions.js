// Keeps /regions current: each second the server sends the changing part of the page, and this changes
// what differs, so that the focus, the selection and the place on the page stay.
"use strict";

const AGAIN_MS = 10_000;
const part = document.getElementById("overview");
const connection = document.getElementById("connection");

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
  const events = new EventSource("/regions/events?format=html");
  events.addEventListener("part", ({ data }) => {
    const next = document.createElement("template");
    next.innerHTML = data;
    updateChildren(part, next.content);
    connection.textContent = "Live: updated each second.";
  });
  events.addEventListener("error", () => {
    connection.textContent = "Not live: this instance does not answer. What you see may be old.";
    // The browser tries again by itself, unless the server has refused.
    if (events.readyState === EventSource.CLOSED) setTimeout(watch, AGAIN_MS);
  });
}

watch();
