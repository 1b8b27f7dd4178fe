"use strict";
const get = (id) => document.getElementById(id);
const count = (value) => value.toLocaleString("en");
const PERIOD_MS = 1000;

// Elements are made of text only: users, items and titles are not ours.
function make(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

function say(element, text) {
  element.hidden = !text;
  if (element.textContent !== text) element.textContent = text;
}

let rates = null;
function showRates(state) {
  // Ten seconds, so that a runner that writes in bursts has a rate.
  const latest = state.rates.slice(-5);
  const rate = latest.reduce((sum, one) => sum + one, 0) / latest.length;
  const shown = rate < 10 ? rate.toFixed(1) : count(Math.round(rate));
  get("rate").textContent = state.lists ? shown + " lists a second" : "Waiting for lists";
  get("lists").textContent = count(state.lists);
  if (rates) {
    rates.update(state.times, [state.rates]);
  } else {
    rates = charts(get("rates"), {
      x: state.times, x_label: "time", x_format: "clock", format: "count",
      series: [{ name: "lists a second", color: "s0", values: state.rates }],
    });
  }
}

let recalls = null;
let drawn = "";
function showRecalls({ window, top_n, tests, x, models, popular, event_us }) {
  if (!get("recalls") || !tests) return;
  const names = Object.keys(models);
  const last = (values) => values[values.length - 1].toFixed(3);
  const parts = names.map((name) => name + " " + last(models[name]));
  get("recall").textContent = "Recall@" + top_n + ": " + parts.join(", ") + ", most popular " + last(popular);
  const costs = names.map((name) => count(Math.round(event_us[name])) + "\u00a0\u00b5s an event" + (names.length > 1 ? " with " + name : ""));
  get("recall-caption").textContent = "Over the last " + count(Math.min(window, tests)) + " tests of " + count(tests) + " followed; " + costs.join(", ") + ".";
  const values = [...names.map((name) => models[name]), popular];
  if (recalls && drawn === names.join("\n")) {
    recalls.update(x, values);
    return;
  }
  // A further model has come: the chart is made anew.
  drawn = names.join("\n");
  if (recalls) recalls.remove();
  recalls = charts(get("recalls"), {
    x, x_label: "tests", format: "share",
    series: [
      ...names.map((name, i) => ({ name, color: "s" + i, values: models[name] })),
      { name: "most popular", color: "popular", dashed: true, values: popular },
    ],
  });
}

let lettersShown = "";
function showLetters(state) {
  const letters = get("letters");
  if (letters && state.dead) {
    get("dead").textContent = count(state.dead) + (state.dead === 1 ? " dead letter" : " dead letters");
    const now = JSON.stringify(state.letters);
    if (now !== lettersShown) {
      lettersShown = now;
      letters.replaceChildren(...state.letters.map((letter) =>
        make("article", { className: "list letter" },
          make("div", { className: "reason" }, letter.reason),
          make("div", { className: "small soft" }, letter.origin + ", at stage " + letter.stage),
          make("code", {}, letter.value || "(no bytes)"))));
    }
  }
  say(get("unreadable"), state.unreadable
    ? count(state.unreadable) + " record(s) of the followed topics could not be read; the last one is " + state.why_unreadable : "");
}

let usersShown = "";
function showUsers(users) {
  const line = get("users");
  // Under somebody's finger nothing moves.
  if (users.join("\n") === usersShown || line.matches(":hover, :focus-within")) return;
  usersShown = users.join("\n");
  line.hidden = !users.length;
  line.replaceChildren("Lately: ", ...users.flatMap((user) =>
    [make("button", { type: "button", className: "chip", onclick: () => { get("user").value = user; ask(user); } }, user), " "]));
}

function showList(found) {
  const notes = [];
  if (found.fallback) {
    const instead = found.fallback === "popular" ? "the most popular items" : found.fallback;
    notes.push(make("p", { className: "notice mild" }, "The model does not know user " + found.user + ". Shown instead: " + instead + "."));
  }
  const how = found.seconds == null ? "last seen" : "answered in " + found.seconds.toFixed(2) + " s";
  const items = found.items.map(({ item, title, score }) =>
    make("li", {}, make("span", { className: "score" }, score.toFixed(3)), title || item,
      ...(title ? [" ", make("span", { className: "soft small" }, item)] : [])));
  const list = items.length ? make("ol", {}, ...items) : make("p", {}, "The list is empty.");
  get("answer").replaceChildren(make("div", { className: "list" },
    make("h3", {}, "User " + found.user),
    make("div", { className: "small soft" }, how + ", origin " + found.origin), ...notes, list));
}

let asked = 0;
async function ask(user) {
  const number = ++asked;
  get("answer").replaceChildren(make("p", { className: "soft" }, "Asking for user " + user + " \u2026"));
  let found;
  try {
    const response = await fetch("/list", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ user }),
    });
    found = await response.json();
  } catch (e) {
    found = { error: "the dashboard's server does not answer" };
  }
  // The answer to an earlier question is no longer wanted.
  if (number !== asked) return;
  if (found.error) get("answer").replaceChildren(make("p", { className: "notice", role: "alert" }, found.error));
  else showList(found);
}

get("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const user = get("user").value.trim();
  if (user) ask(user);
});

async function look() {
  if (!document.hidden) {
    try {
      const state = await (await fetch("/state")).json();
      say(get("problem"), state.problem);
      get("behind").textContent = state.behind > 1000 ? count(state.behind) + " records behind." : "";
      showRates(state);
      showRecalls(state.recall);
      showLetters(state);
      showUsers(state.users);
    } catch (e) {
      say(get("problem"), "The dashboard's server does not answer: was it stopped?");
    }
  }
  setTimeout(look, PERIOD_MS);
}
look();
