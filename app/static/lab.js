// The map of the lab. The server sends the places once, then each change of the world and each visit; what
// is clicked goes back to it as a command, or to the site as a visit.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const VISITS = 30;
const NAMES = ["Ada", "Grace", "Radia", "Barbara", "Frances", "Edsger", "Katherine", "Annie"];
const byId = (id) => document.getElementById(id);

let places = new Map();
let world = { servers: [], links: [] };
let place = null;
let seenUsers = new Map();

// Elements

function element(parent, name, attributes = {}, text) {
  const made = parent.namespaceURI === SVG ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

// The child with this key, made once, so that the focus stays where it is.
function keyed(parent, key, make) {
  const there = parent.querySelector(`:scope > [data-key="${CSS.escape(key)}"]`);
  if (there) return there;
  const made = make();
  made.dataset.key = key;
  return made;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function acts(node, act) {
  node.addEventListener("click", act);
  node.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      act();
    }
  });
}

function select(card) {
  document.querySelectorAll(".card.selected").forEach((other) => other.classList.remove("selected"));
  card.classList.add("selected");
  card.scrollIntoView({ block: "nearest" });
  card.querySelector("button:not([hidden])")?.focus({ preventScroll: true });
}

const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// Places

// The shorter way around the earth, as pieces that the map can show.
function pieces(from, to) {
  const east = to.x - from.x;
  if (Math.abs(east) <= 180) return [[from, to]];
  const around = east > 0 ? -360 : 360;
  return [[from, { x: to.x + around, y: to.y }], [{ x: from.x - around, y: from.y }, to]];
}

function at(code) {
  return places.get(code) ?? places.get(code.replace(/-\d+$/, ""));
}

function stand(code) {
  place = code;
  const { city, x, y } = places.get(code);
  byId("place").textContent = city ?? code;
  byId("stand").value = code;
  byId("site").href = `/?from=${code}`;
  const here = byId("places").querySelector(".here") ?? element(byId("places"), "circle", { class: "here", r: 5 });
  here.setAttribute("transform", `translate(${x} ${y})`);
}

function showPlaces(list) {
  places = new Map(list.map((it) => [it.code, it]));
  byId("stand").replaceChildren();
  byId("places").replaceChildren();
  for (const { code, city, x, y } of list) {
    element(byId("stand"), "option", { value: code }, city ? `${city} (${code})` : code);
    const spot = element(byId("places"), "circle", {
      class: "spot", r: 1.6, transform: `translate(${x} ${y})`, "data-place": code, "aria-hidden": "true",
    });
    // By the keys, the list of places does the same.
    element(spot, "title", {}, city ?? code);
    spot.addEventListener("click", () => stand(code));
  }
  stand(place ?? list[0].code);
}

// Faults

async function command(body) {
  byId("said").textContent = "…";
  const answer = await fetch("command", {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  }).catch(() => null);
  byId("said").textContent = answer ? await answer.text() : "The lab does not answer: it was stopped.";
}

const seconds = (count) => ({ secs: count, nanos: 0 });

// Each fault of a database: its name, when it can be had, and its command.
const SERVER_FAULTS = [
  ["Kill", (it) => it.state !== "stopped", ({ region }) => ({ kill: { region } })],
  ["Freeze", (it) => it.state === "running", ({ region }) => ({ freeze: { region } })],
  ["Thaw", (it) => it.state === "frozen", ({ region }) => ({ thaw: { region } })],
  ["Start", (it) => it.state === "stopped", ({ region }) => ({ start: { region } })],
  ["Pause replay", (it) => it.role === "replica" && it.state === "running" && !it.replay_paused, ({ region }) => ({ pause: { region } })],
  ["Resume replay", (it) => it.replay_paused, ({ region }) => ({ resume: { region } })],
  ["Lag 5 s", (it) => it.role === "replica" && it.state === "running" && it.apply_delay_ms === 0, ({ region }) => ({ lag: { region, delay: seconds(5) } })],
  ["No lag", (it) => it.apply_delay_ms > 0, ({ region }) => ({ lag: { region, delay: seconds(0) } })],
  ["Promote", (it) => it.role === "replica" && it.state === "running", ({ region }) => ({ promote: { region, leave_old_running: false } })],
  ["Rejoin", (it) => it.state === "stopped" || isOldPrimary(it), ({ region }) => ({ rejoin: { region } })],
];

const LINE_FAULTS = [
  ["Cut", (it) => !it.cut, ({ a, b }) => ({ cut: { a, b } })],
  ["Slow to 1 s", (it) => !it.slowed, ({ a, b }) => ({ slow: { a, b, round_trip: seconds(1) } })],
  ["Heal", (it) => it.cut || it.slowed, ({ a, b }) => ({ heal: { a, b } })],
];

function isOldPrimary(server) {
  const timelines = world.servers.filter((it) => it.role === "primary").map((it) => it.timeline ?? 0);
  return server.role === "primary" && timelines.length > 1 && (server.timeline ?? 0) < Math.max(...timelines);
}

function buttons(card, faults, name, current) {
  const row = element(card, "p", { class: "actions" });
  for (const [label, isPossible, body] of faults) {
    const button = element(row, "button", { class: "button plain", type: "button", "aria-label": `${label}: ${name}` }, label);
    button.addEventListener("click", () => command(body(current())));
    button.update = () => { button.hidden = !isPossible(current()); };
  }
  return row;
}

// The world

function stateOf(server) {
  const { role, state, lag_bytes, lag_seconds, replay_paused, apply_delay_ms } = server;
  const notes = [role, state];
  if (server.timeline) notes.push(`timeline ${server.timeline}`);
  if (role === "replica" && state === "running") {
    if (!server.streaming) notes.push("receives nothing");
    if (replay_paused) notes.push("replay paused");
    if (apply_delay_ms > 0) notes.push(`replays ${apply_delay_ms / 1000} s later`);
    // A commit that is on its way is no lag.
    if (lag_seconds >= 1) notes.push(`${lag_bytes} bytes behind, for ${lag_seconds.toFixed(0)} s`);
  }
  return notes.join(", ");
}

function showServer(server) {
  const { region, role, state, users } = server;
  const { x, y } = at(region);
  const current = () => world.servers.find((it) => it.region === region);
  const card = keyed(byId("servers"), region, () => {
    const made = element(byId("servers"), "section", { class: "card" });
    element(made, "h2", {}, region);
    element(made, "p", { class: "state" });
    made.actions = buttons(made, SERVER_FAULTS, region, current);
    const here = element(made.actions, "button", { class: "button plain", type: "button", "aria-label": `Stand in ${region}` }, "Stand here");
    here.addEventListener("click", () => stand(region.replace(/-\d+$/, "")));
    return made;
  });
  setText(card.querySelector(".state"), `${stateOf(server)}; shows ${users ?? "no"} users`);
  [...card.actions.children].forEach((button) => button.update?.());

  const marker = keyed(byId("databases"), region, () => {
    const made = element(byId("databases"), "g", { tabindex: 0, role: "button", transform: `translate(${x} ${y})` });
    element(made, "path", { class: "shape" });
    element(made, "path", { class: "sign" });
    element(made, "text", { class: "right", "aria-hidden": "true" });
    acts(made, () => select(card));
    return made;
  });
  const isGood = state === "running";
  marker.setAttribute("class", `marker ${isGood ? "good" : "bad"}`);
  marker.setAttribute("aria-label", `${region}: ${role}, ${state}`);
  const shape = role === "primary" ? "M0-3.2L3.2 0 0 3.2-3.2 0z" : "M-2.4 0A2.4 2.4 0 1 0 2.4 0A2.4 2.4 0 1 0-2.4 0z";
  marker.children[0].setAttribute("d", shape);
  marker.children[1].setAttribute("d", isGood ? "" : "M-3.4-3.4L3.4 3.4M-3.4 3.4L3.4-3.4");
  setText(marker.children[2], `${region} · ${users ?? "?"}`);
  if (users !== null && seenUsers.has(region) && seenUsers.get(region) !== users) {
    if (!isCalm()) marker.children[0].animate([{ strokeWidth: "5px" }, {}], { duration: 1200 });
  }
  if (users !== null) seenUsers.set(region, users);
}

function showLine(link, primaries) {
  const { a, b } = link;
  const key = `${a} ${b}`;
  const current = () => world.links.find((it) => it.a === a && it.b === b);
  const card = keyed(byId("lines"), key, () => {
    const made = element(byId("lines"), "section", { class: "card" });
    element(made, "h2", {}, `${a} – ${b}`);
    element(made, "p", { class: "state" });
    made.actions = buttons(made, LINE_FAULTS, `${a} – ${b}`, current);
    return made;
  });
  const words = link.cut ? "cut" : `${Math.round(link.round_trip_ms)} ms${link.slowed ? ", slowed" : ""}`;
  setText(card.querySelector(".state"), words);
  [...card.actions.children].forEach((button) => button.update());

  const stream = byId("streams").querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!primaries.some((it) => it === a || it === b)) {
    stream?.remove();
    return;
  }
  const line = stream ?? keyed(byId("streams"), key, () => {
    const made = element(byId("streams"), "g", { tabindex: 0, role: "button" });
    for (const [from, to] of pieces(at(a), at(b))) {
      element(made, "path", { d: `M${from.x} ${from.y}L${to.x} ${to.y}` });
      element(made, "path", { class: "grip", d: `M${from.x} ${from.y}L${to.x} ${to.y}` });
    }
    acts(made, () => select(card));
    return made;
  });
  line.setAttribute("class", `stream${link.cut ? " cut" : ""}${link.slowed ? " slowed" : ""}`);
  line.setAttribute("aria-label", `Line from ${a} to ${b}: ${words}`);
}

function showWorld(next) {
  world = next;
  const regions = world.servers.map((it) => it.region);
  const primaries = world.servers.filter((it) => it.role === "primary").map((it) => it.region);
  world.servers.forEach(showServer);
  world.links
    .filter((it) => regions.includes(it.a) && regions.includes(it.b))
    .forEach((link) => showLine(link, primaries));
}

// Visits

async function visit(path, init = {}) {
  const headers = { "fly-prefer-region": place, accept: "text/html", ...init.headers };
  const answer = await fetch(path, { ...init, headers }).catch(() => null);
  byId("said").textContent = answer
    ? `${answer.status}, by ${answer.headers.get("x-served-by") ?? "no database"}`
    : "The site does not answer.";
}

function create() {
  const name = `${NAMES[Math.floor(Math.random() * NAMES.length)]} of ${place}`;
  const body = new URLSearchParams({ "user[name]": name, "user[age]": "36" });
  return visit("/users", { method: "POST", body });
}

function showVisit(it) {
  const hops = [it.place, it.instance, it.replayed].filter(Boolean);
  const database = it.served_by?.split(";")[0];
  const words = `${it.method} ${it.path} from ${hops.join(" → ")}: ${it.status}${it.served_by ? `, by ${it.served_by}` : ""}, ${Math.round(it.ms)} ms`;
  const item = document.createElement("li");
  item.textContent = it.failed ? `${words}; the replay failed: ${it.failed}` : words;
  byId("visits").prepend(item);
  while (byId("visits").children.length > VISITS) byId("visits").lastChild.remove();
  const way = [...hops, database].filter((code) => code && at(code)).map(at);
  travel(way, it.method === "GET" ? "read" : "write", it.status >= 500, it.ms);
}

// A dot on the way there and back; the longer it took, the slower.
function travel(way, kind, failed, ms) {
  if (isCalm() || way.length < 2) return;
  const all = [...way, ...way.slice(0, -1).reverse()];
  const legs = all.slice(1).flatMap((to, index) => pieces(all[index], to));
  const lengths = legs.map(([from, to]) => Math.hypot(to.x - from.x, to.y - from.y) + 0.01);
  const whole = lengths.reduce((sum, length) => sum + length);
  let gone = 0;
  const frames = legs.flatMap(([from, to], index) => {
    const frame = ({ x, y }, offset) => ({ transform: `translate(${x}px, ${y}px)`, offset });
    const start = gone / whole;
    gone += lengths[index];
    return [frame(from, start), frame(to, Math.min(1, gone / whole))];
  });
  const dot = element(byId("travels"), "circle", { class: `travel ${kind}${failed ? " failed" : ""}`, r: 2 });
  const duration = Math.min(4000, Math.max(700, ms * 6));
  dot.animate(frames, { duration }).finished.then(() => dot.remove(), () => dot.remove());
}

// The page

const form = byId("visit");
form.read.addEventListener("click", () => visit("/users"));
form.create.addEventListener("click", create);
byId("stand").addEventListener("change", ({ target }) => stand(target.value));
setInterval(() => { if (form.repeat.checked) visit("/users"); }, 1000);

const events = new EventSource("events");
const shows = (name, show) => events.addEventListener(name, ({ data }) => show(JSON.parse(data)));
shows("places", showPlaces);
shows("world", showWorld);
shows("visits", (visits) => visits.forEach(showVisit));
events.addEventListener("error", () => { byId("said").textContent = "The lab does not answer: it was stopped."; });
