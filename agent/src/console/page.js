// The control room's page: shows the gateway's board as it changes, and is heard until every alarm is
// acknowledged. It decides nothing and sends nothing. All text goes in as text, never as markup.
//
// Stale is never shown as live: every 5 s the gateway sends a tick; without one for 12 s, or with a gateway
// that says it no longer turns, everything is greyed under a red banner and no age counts on.
"use strict";

const SILENT_MAX_MS = 12_000;
const RETRY_MS = 2_000;

const PRIORITIES = {
  critical: { rank: 3, zh: "紧急", en: "CRITICAL", path: "M16 1 31 16 16 31 1 16z" },
  high: { rank: 2, zh: "高", en: "HIGH", path: "M16 2 31 29H1z" },
  medium: { rank: 1, zh: "中", en: "MEDIUM", path: "M4 4h24v24H4z" },
  low: { rank: 0, zh: "低", en: "LOW", path: "M16 3a13 13 0 1 0 .01 0z" },
};
const CLASSES = {
  process: "工艺 process", equipment: "设备 equipment", system: "系统 system", video: "视频 video",
  permit: "作业 permit", people: "人员 people", gas: "气体 gas", fire: "火灾 fire", sis: "安全仪表 SIS",
};
const STATES = {
  unacknowledged: "未确认 unacknowledged", acknowledged: "已确认 acknowledged",
  returned: "已恢复，未确认 returned, unacknowledged",
  latched_unacknowledged: "锁存，未确认 latched, unacknowledged", latched: "锁存，待复位 latched, to be reset",
  normal: "正常 normal",
};
/// Links of one alarm: more are on the list of all points.
const TRENDS_MAX = 3;
/// An operator has still to see it.
const UNSEEN = new Set(["unacknowledged", "returned", "latched_unacknowledged"]);
const COLOURS = {
  red: { zh: "重大", en: "red", level: "▮▮▮▮" }, orange: { zh: "较大", en: "orange", level: "▮▮▮▯" },
  yellow: { zh: "一般", en: "yellow", level: "▮▮▯▯" }, blue: { zh: "低", en: "blue", level: "▮▯▯▯" },
};
const STAGES = {
  candidate: "待确认 candidate", rectifying: "整改中 rectifying", awaiting_acceptance: "待验收 awaiting acceptance",
};
const LINKS = {
  up: { mark: "●", zh: "正常", en: "up" }, down: { mark: "✕", zh: "断开", en: "down" },
  connecting: { mark: "◌", zh: "连接中", en: "connecting" },
};
const LANES = { critical: "报警隐患 critical", work: "任务记录 work", gap: "缺口 gap" };

const ASIDES = { refused: "平台拒收，不再发送 refused upstream, set aside", unwritable: "无法写入 cannot be written, set aside" };

const byId = (id) => document.getElementById(id);

// ---- what we know -------------------------------------------------------------------------------------

const board = { alarms: new Map(), hazards: new Map(), tasks: [], units: [], stops: [], quality: null, sources: [], outbox: { lanes: [] }, uplink: null, health: null, gateway: null };
let live = false;          // the stream speaks
let agentSeen = null;      // the agent's version at the first board: a newer one brings a newer page
let clockAhead = 0;        // gateway's clock less ours, ms
let zoneMinutes = 0;       // the site's zone, as the gateway writes it
let lastAt = null;         // gateway's time of the last event, ms
let lastHeard = null;      // our monotonic time of it
let stream = null;
let retry = null;

function heard(at) {
  lastHeard = performance.now();
  lastAt = Date.parse(at);
  clockAhead = lastAt - Date.now();
  const zone = /([+-])(\d\d):(\d\d)$/.exec(at);
  if (zone) zoneMinutes = (zone[1] === "-" ? -1 : 1) * (Number(zone[2]) * 60 + Number(zone[3]));
  live = true;
}

/// Whether what stands on the page is the present.
const current = () => live && board.health !== null && !pumpStuck();
const pumpStuck = () => board.health.pump_turn_age_ms === null || board.health.pump_turn_age_ms > 5_000;
const gatewayNow = () => (current() ? Date.now() + clockAhead : lastAt);

// ---- the stream ---------------------------------------------------------------------------------------

function connect() {
  clearTimeout(retry);
  lastHeard = performance.now();
  stream = new EventSource("/events");
  stream.addEventListener("board", (event) => {
    const whole = JSON.parse(event.data);
    if (agentSeen !== null && agentSeen !== whole.gateway.agent) return location.reload();
    agentSeen = whole.gateway.agent;
    heard(whole.at);
    const alarms = [...whole.alarms, ...whole.shelved, ...whole.suppressed, ...whole.out_of_service];
    board.alarms = new Map(alarms.map((alarm) => [alarm.id, alarm]));
    board.hazards = new Map([...whole.candidates, ...whole.hazards].map((hazard) => [hazard.id, hazard]));
    for (const part of ["tasks", "units", "stops", "quality", "sources", "outbox", "uplink", "health", "gateway"]) board[part] = whole[part];
    draw();
  });
  stream.addEventListener("change", (event) => {
    const change = JSON.parse(event.data);
    heard(change.at);
    for (const alarm of change.alarms) board.alarms.set(alarm.id, alarm);
    for (const id of change.alarms_gone) board.alarms.delete(id);
    for (const hazard of change.hazards) board.hazards.set(hazard.id, hazard);
    for (const id of change.hazards_gone) board.hazards.delete(id);
    for (const part of ["tasks", "units", "stops", "quality", "sources", "outbox", "uplink", "health"]) {
      if (part in change) board[part] = change[part];
    }
    draw();
  });
  stream.addEventListener("tick", (event) => {
    const tick = JSON.parse(event.data);
    heard(tick.at);
    board.health = tick.health;
    beat();
  });
  stream.onerror = lose;
}

/// The stream is gone. We come back ourselves: the browser gives up for good on a 503.
function lose() {
  live = false;
  stream.close();
  clearTimeout(retry);
  retry = setTimeout(connect, RETRY_MS);
  beat();
}

// ---- drawing ------------------------------------------------------------------------------------------

function el(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

function shape(priority) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 32 32");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", priority);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PRIORITIES[priority].path);
  svg.append(path);
  return svg;
}

/// `riskgate ack` takes any id; a shell does not.
const quoted = (word) => (/^[\p{L}\p{N}_.,:\/@%+-]+$/u.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
const two = (number) => String(number).padStart(2, "0");

function span(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days > 0) return `${days}天 ${two(hours)}:${two(minutes)}`;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${two(minutes)}:${two(seconds % 60)}`;
}

function clockText(milliseconds) {
  const there = new Date(milliseconds + zoneMinutes * 60_000);
  return `${two(there.getUTCHours())}:${two(there.getUTCMinutes())}:${two(there.getUTCSeconds())}`;
}

/// Day and minute: what ends may end tomorrow.
const stampText = (stamp) => stamp.slice(5, 16).replace("T", " ");

/// An element whose text is the age of a time, counted on by `beat`.
function age(className, since) {
  const element = el("span", className);
  element.dataset.since = String(Date.parse(since));
  return element;
}

/// Puts `rows` into `list` in order, and leaves a row alone whose key and content have not changed: a text
/// that somebody is marking with the mouse stays marked.
function fill(list, rows, make, empty) {
  const held = new Map([...list.children].map((child) => [child.dataset.key, child]));
  const wanted = rows.map(([key, row]) => {
    const print = JSON.stringify(row);
    const old = held.get(key);
    if (old && old.dataset.print === print) return old;
    const fresh = make(row);
    fresh.dataset.key = key;
    fresh.dataset.print = print;
    return fresh;
  });
  if (wanted.length === 0 && empty) wanted.push(el("li", "empty", empty));
  if (wanted.length === list.children.length && wanted.every((row, place) => row === list.children[place])) return;
  list.replaceChildren(...wanted);
}

const operandText = (operand) => {
  const detail = operand.detail ? ` ${operand.detail}` : "";
  const until = operand.until ? ` 至 until ${operand.until}` : "";
  return `${operand.text} = ${operand.value ?? "?"} (${operand.quality})${detail}${until}`;
};

/// To the page that says why it is there.
/// The last day of a point that the alarm was judged by.
function trendLink(tag) {
  const link = el("a", "why", `趋势 trend ${tag}`);
  link.href = `/trend?tag=${encodeURIComponent(tag)}`;
  return link;
}

function whyLink(id) {
  const link = el("a", "why", "为什么 why");
  link.href = `/explain?id=${encodeURIComponent(id)}`;
  return link;
}

function alarmRow(alarm) {
  const priority = PRIORITIES[alarm.priority];
  const row = el("li", `alarm ${alarm.priority} ${alarm.state}`);
  row.title = [alarm.words.zh, alarm.words.en, alarm.guidance.zh, alarm.guidance.en, alarm.evidence.condition, ...alarm.evidence.operands.map(operandText)].filter(Boolean).join("\n");
  const rank = el("div", "rank", shape(alarm.priority), priority.zh, el("small", "", priority.en));
  const facts = el(
    "div", "facts",
    el("span", "where", alarm.unit_name ?? alarm.unit ?? "全站 site"),
    el("span", "", CLASSES[alarm.class] ?? alarm.class),
    alarm.measure_name ? el("span", "measure", `措施 ${alarm.measure_name}`) : null,
    alarm.blinds.length > 0 ? el("span", "measure", `失去监测的措施 blinded ${alarm.blinds_names.join("、")}`) : null,
    alarm.kind === "fault" ? el("span", "tag fault", "监测失效 monitoring lost") : null,
    alarm.on_unknown ? el("span", "tag", "条件未知 on unknown") : null,
    el("span", "state", STATES[alarm.state] + (alarm.acknowledged_by ? ` · ${alarm.acknowledged_by}` : "")),
  );
  const body = el("div", "body", facts, el("div", "words", alarm.words.zh || alarm.words.en || alarm.id));
  const guidance = alarm.guidance.zh || alarm.guidance.en;
  if (guidance) body.append(el("div", "guidance", el("span", "do", alarm.guidance.zh), el("small", "", alarm.guidance.en)));
  const deed = alarm.state === "latched" ? "reset" : UNSEEN.has(alarm.state) ? "ack" : null;
  const command = deed === null ? null : el("code", "command", `riskgate ${deed} ${quoted(alarm.id)} --by 姓名`);
  body.append(el("div", "second", el("span", "english", alarm.words.zh ? alarm.words.en : ""), whyLink(alarm.id), ...alarm.tags.slice(0, TRENDS_MAX).map(trendLink), command));
  const when = el("div", "when", age("age", alarm.since), el("small", "", `自 since ${clockText(Date.parse(alarm.since))}`));
  when.append(alarm.durable ? el("span", "durable", "已落盘 durable") : el("span", "mark", "未落盘 not durable"));
  row.append(rank, body, when);
  return row;
}

/// An alarm that is not annunciated: what it is, how it is, and why nobody hears it.
function coverRow(alarm, cover, undo) {
  const row = el("li", "", el("div", "zh text", alarm.words.zh || alarm.words.en || alarm.id));
  row.title = [alarm.words.zh, alarm.words.en, alarm.id].filter(Boolean).join("\n");
  const active = alarm.state === "unacknowledged" || alarm.state === "acknowledged";
  const meta = el("div", "meta", `${alarm.id} · `, el("span", active ? "overdue" : "stage", active ? "条件成立 active" : STATES[alarm.state]));
  if (cover.until) meta.append(` · 至 until ${stampText(cover.until)}`);
  if (cover.by) meta.append(` · ${cover.by} · ${cover.why}`);
  if (alarm.hazard_withheld) meta.append(" · 隐患暂不提出 hazard withheld");
  row.append(meta);
  if (undo) row.append(el("code", "", `riskgate ${undo} ${quoted(alarm.id)} --by 姓名`));
  return row;
}

function stopRow(stop) {
  const row = el("li", "", el("div", "zh", stop.unit_name ?? stop.unit), el("div", "meta", `${stop.by} · ${stop.why} · `, age("", stop.since)));
  row.append(el("code", "", `riskgate start ${quoted(stop.unit)} --by 姓名`));
  return row;
}

function qualityRows() {
  const quality = board.quality;
  const { day } = quality;
  const rows = [
    `近一天 ${day.annunciated} 次，每10分钟平均 ${day.per_10_min.toFixed(1)}，峰值 ${day.peak_10_min} · annunciated in a day, per 10 min, peak`,
    `泛滥时间 ${(day.flood_share * 100).toFixed(1)} % · time in flood`,
  ];
  if (quality.chattering.length > 0) rows.push(`抖动 chattering ${quality.chattering.join(" ")}`);
  if (quality.stale.length > 0) rows.push(`超过24小时 stale ${quality.stale.join(" ")}`);
  if (day.worst.length > 0) rows.push(`最频繁 worst ${day.worst.slice(0, 3).map((worst) => `${worst.alarm}×${worst.annunciated}`).join(" ")}`);
  return rows.map((row) => el("li", "meta", row));
}

function hazardRow(hazard) {
  const row = el("li", "", el("div", "zh text", hazard.words.zh || hazard.words.en), el("div", "meta text", hazard.words.zh ? hazard.words.en : ""));
  row.title = [hazard.words.zh, hazard.words.en, hazard.id, hazard.evidence.condition, ...hazard.evidence.operands.map(operandText)].filter(Boolean).join("\n");
  const meta = el("div", "meta", el("span", "stage", STAGES[hazard.stage] ?? hazard.stage), ` · ${hazard.unit_name ?? hazard.unit} · `, age("", hazard.raised));
  if (hazard.level === "major") meta.append(" · ", el("span", "overdue", "重大 major"));
  if (hazard.repeats > 0) meta.append(` · 重复 repeats ${hazard.repeats}`);
  if (hazard.returned) meta.append(" · 已恢复 returned");
  if (hazard.overdue) meta.append(" · ", el("span", "overdue", "逾期 overdue"));
  if (!hazard.durable) meta.append(" ", el("span", "mark", "未落盘 not durable"));
  const deed = { candidate: "confirm", rectifying: "rectify", awaiting_acceptance: "accept" }[hazard.stage];
  const id = hazard.id.slice(0, 8);
  meta.append(" · ", whyLink(hazard.id));
  row.append(meta, el("code", "", `riskgate ${deed} ${id} --by 姓名`));
  // Both answers, or the first is given because it is there.
  if (hazard.stage === "candidate") row.append(el("div", "or", "误报 or: ", el("code", "", `riskgate reject ${id} --by 姓名 --why 原因`)));
  return row;
}

function taskRow(task) {
  const cycle = (seconds) => (seconds % 3600 === 0 ? `${seconds / 3600} h` : seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`);
  const why = task.boosts.map((boost) => boost.words.zh || boost.words.en).join("；");
  const due = task.boosts.map((boost) => boost.due).filter(Boolean).sort()[0];
  const change = task.cycle_s === task.base_cycle_s ? "" : `周期 ${cycle(task.base_cycle_s)} → ${cycle(task.cycle_s)}`;
  const once = due ? `加查一次，限 ${clockText(Date.parse(due))} 前` : "";
  const suspended = task.suspended ? "单元停用，暂停 suspended" : "";
  const overdue = task.overdue ? `超期 overdue（${clockText(Date.parse(task.overdue))}）` : "";
  return el("li", "", el("div", "zh", task.content), el("div", "meta", [overdue, suspended, change, once].filter(Boolean).join(" · "), ` · ${task.assignee} · ${why}`));
}

function sourceRow(source) {
  const link = LINKS[source.link];
  const quality = [`好 good ${source.good}`];
  if (source.uncertain) quality.push(`可疑 uncertain ${source.uncertain}`);
  if (source.bad) quality.push(`坏 bad ${source.bad}`);
  if (source.source_offset_ms !== null && Math.abs(source.source_offset_ms) >= 1000) quality.push(`时差 clock ${(source.source_offset_ms / 1000).toFixed(1)} s`);
  const row = el("li", source.link, el("span", "dot", link.mark), el("span", "zh", `${source.name || source.id} ${link.zh}`), " ", el("small", "", link.en));
  row.append(el("div", "meta", source.link === "up" ? quality.join(" · ") : source.why ?? ""));
  return row;
}

function uplinkRows() {
  const uplink = board.uplink;
  const state = uplink.connected ? "up" : "down";
  const link = el("li", state, el("span", "dot", LINKS[state].mark), el("span", "zh", uplink.connected ? "已连接" : "未连接，本地照常"), " ", el("small", "", `${uplink.connected ? "connected" : "not connected"} ${uplink.broker}`));
  if (uplink.why && !uplink.connected) link.append(el("div", "meta", uplink.why));
  const lanes = board.outbox.lanes.map((lane) => el("li", "", el("span", "", LANES[lane.lane] ?? lane.lane), el("span", "meta", ` · 待发 waiting ${lane.pending} · 序号 sequence ${lane.last}`)));
  const asides = (board.outbox.set_aside ?? []).map((aside) => {
    const row = el("li", "", el("span", "overdue", `${ASIDES[aside.what] ?? aside.what} ${aside.count}`));
    row.append(el("div", "meta", `最早 oldest ${aside.oldest === null ? "" : stampText(aside.oldest)} · ${aside.why}`));
    return row;
  });
  return [link, ...lanes, ...asides];
}

/// What an operator has to know of the links without scrolling.
function linkMarks() {
  const mark = (state, zh, en) => el("span", state, el("span", "dot", LINKS[state].mark), zh, " ", el("small", "", en));
  const marks = ["down", "connecting"].flatMap((state) => {
    const those = board.sources.filter((source) => source.link === state);
    const names = those.slice(0, 3).map((source) => source.name || source.id).join("、") + (those.length > 3 ? "…" : "");
    return those.length === 0 ? [] : [mark(state, `数据源${LINKS[state].zh} ${those.length}/${board.sources.length}`, names)];
  });
  if (marks.length === 0) marks.push(mark("up", `数据源正常 ${board.sources.length}`, "sources up"));
  marks.push(board.uplink.connected ? mark("up", "上传正常", "uplink") : mark("down", "上传断开", "uplink down"));
  const waits = board.outbox.lanes.reduce((sum, lane) => sum + lane.pending, 0);
  const model = board.gateway.model;
  if (model.version !== null) marks.push(el("span", "", `管控模型 v${model.version} `, el("small", "", `model since ${model.since.slice(0, 16).replace("T", " ")}`)));
  else if (model.source === "upstream") marks.push(mark("connecting", "管控模型未下发", "no model from upstream: the files hold"));
  if (model.orphans.length > 0) marks.push(mark("connecting", `上级已无措施 ${model.orphans.length}`, "orphans"));
  if (waits > 0) marks.push(el("span", "", `待发 ${waits} `, el("small", "", "waiting")));
  return marks;
}

function unitChip(unit) {
  const colour = COLOURS[unit.current];
  const name = el("span", "name", unit.name);
  if (unit.current !== unit.base) name.append(el("span", "from", `▲ 基准 ${COLOURS[unit.base].zh}`));
  const chip = el("div", `unit ${unit.current}`, el("span", "class", el("span", "level", colour.level), colour.zh), name);
  chip.title = [`${colour.zh} ${colour.en}`, ...unit.causes.map((cause) => `${cause.words.zh} ${cause.words.en}`)].join("\n");
  return chip;
}

const withheld = (alarm) => Boolean(alarm.shelved || alarm.suppressed || alarm.out_of_service);
const annunciated = () => [...board.alarms.values()].filter((alarm) => !withheld(alarm));
const flood = () => board.quality !== null && board.quality.flood;
const unitOf = (alarm) => alarm.unit_name ?? alarm.unit ?? "全站 site";
/// In a flood by unit; nothing is left out.
const byUnit = (a, b) => (flood() ? unitOf(a).localeCompare(unitOf(b), "zh") : 0);
const sorted = () => annunciated().sort((a, b) =>
  byUnit(a, b) || PRIORITIES[b.priority].rank - PRIORITIES[a.priority].rank || UNSEEN.has(b.state) - UNSEEN.has(a.state) || Date.parse(b.since) - Date.parse(a.since) || (a.id < b.id ? -1 : 1));
const waiting = () => annunciated().filter((alarm) => UNSEEN.has(alarm.state));

/// The rows of the alarm list: in a flood each unit's behind a line with its name and how many they are.
function alarmRows() {
  const rows = [];
  let unit = null;
  for (const alarm of sorted()) {
    if (flood() && unitOf(alarm) !== unit) {
      unit = unitOf(alarm);
      const count = annunciated().filter((other) => unitOf(other) === unit).length;
      rows.push([`unit ${unit}`, { heading: `${unit} · ${count}` }]);
    }
    rows.push([alarm.id, alarm]);
  }
  return rows;
}

const bySourceState = () => [...board.sources].sort((a, b) => (a.link === "up") - (b.link === "up"));

function draw() {
  byId("gateway-name").textContent = board.gateway.name || board.gateway.id;
  byId("gateway-id").textContent = `${board.gateway.company} · ${board.gateway.id}`;
  fill(byId("units"), board.units.map((unit) => [unit.unit, unit]), unitChip);
  fill(byId("alarms"), alarmRows(), (row) => (row.heading ? el("li", "heading", row.heading) : alarmRow(row)));
  byId("flood").hidden = !flood();
  for (const [box, key, undo] of [["shelved", "shelved", "unshelve"], ["suppressed", "suppressed", null], ["out", "out_of_service", "in-service"]]) {
    const those = [...board.alarms.values()].filter((alarm) => alarm[key]).sort((a, b) => (a.id < b.id ? -1 : 1));
    fill(byId(box), those.map((alarm) => [alarm.id, alarm]), (alarm) => coverRow(alarm, alarm[key], undo));
    byId(`${box}-count`).textContent = those.length || "";
    byId(`${box}-box`).hidden = those.length === 0;
  }
  const unwatched = board.quality.unwatched.map((of) => of.measure_name ?? of.measure);
  byId("unwatched").textContent = unwatched.length === 0 ? "" : `无人监测的措施 not watched: ${unwatched.join("、")}`;
  fill(byId("stops"), board.stops.map((stop) => [stop.unit, stop]), stopRow);
  byId("stops-box").hidden = board.stops.length === 0;
  byId("quality").replaceChildren(...qualityRows());
  const hazards = [...board.hazards.values()].sort((a, b) => Date.parse(b.raised) - Date.parse(a.raised));
  const candidates = hazards.filter((hazard) => hazard.stage === "candidate");
  const open = hazards.filter((hazard) => hazard.stage !== "candidate");
  fill(byId("candidates"), candidates.map((hazard) => [hazard.id, hazard]), hazardRow, "无 none");
  fill(byId("hazards"), open.map((hazard) => [hazard.id, hazard]), hazardRow, "无 none");
  fill(byId("tasks"), board.tasks.map((task) => [task.task, task]), taskRow, "无 none");
  fill(byId("sources"), bySourceState().map((source) => [source.id, source]), sourceRow, "无 none");
  byId("uplink").replaceChildren(...uplinkRows());
  byId("links").replaceChildren(...linkMarks());
  byId("candidates-count").textContent = candidates.length || "";
  byId("hazards-count").textContent = open.length || "";
  byId("tasks-count").textContent = board.tasks.length || "";
  byId("candidates-box").classList.toggle("some", candidates.length > 0);
  byId("counts").replaceChildren(...Object.entries(PRIORITIES).map(([name, priority]) => {
    const count = annunciated().filter((alarm) => alarm.priority === name).length;
    return el("span", `count ${count === 0 ? "none" : ""}`, shape(name), `${priority.zh} ${count}`);
  }));
  beat();
}

// ---- what moves by itself: ages, the clock, the banner ------------------------------------------------

function banner(colour, zh, en, note) {
  const box = byId("banner");
  box.hidden = zh === null;
  box.classList.toggle("amber", colour === "amber");
  byId("banner-zh").textContent = zh ?? "";
  byId("banner-en").textContent = en ?? "";
  byId("banner-age").textContent = note ?? "";
}

function announce() {
  const old = lastAt === null ? "" : `数据停在 data as of ${clockText(lastAt)} · 已过 old ${span(performance.now() - lastHeardLive)}`;
  if (!live) {
    if (lastAt === null) return banner("red", "正在连接网关", "connecting to the gateway");
    return banner("red", "与网关的连接已断开", "connection lost: what is below is old", old);
  }
  if (pumpStuck()) return banner("red", "网关已停止判断", "the gateway has stopped judging: what is below is old", old);
  if (!board.health.store.ok) return banner("amber", "存储失败：报警尚未落盘", `the store does not commit: ${board.health.store.why ?? ""}`);
  if (!board.health.ready) return banner("amber", "网关正在启动或停止", "the gateway is starting or stopping");
  return banner("red", null);
}

let lastHeardLive = 0;

function beat() {
  if (live && performance.now() - lastHeard > SILENT_MAX_MS) return lose();
  if (!live && stream !== null && stream.readyState === EventSource.CONNECTING && performance.now() - lastHeard > SILENT_MAX_MS) return lose();
  const fresh = current();
  if (fresh) lastHeardLive = lastHeard;
  document.body.classList.toggle("lost", !fresh);
  announce();
  const now = gatewayNow();
  byId("clock").textContent = fresh ? clockText(now) : "--:--:--";
  if (now !== null) {
    for (const element of document.querySelectorAll("[data-since]")) element.textContent = span(now - Number(element.dataset.since));
  }
  // A source that is away may hide an alarm: silence is then not told as safety.
  const partial = board.sources.some((source) => source.link !== "up");
  // Nor is what somebody has silenced.
  const silenced = [...board.alarms.values()].filter(withheld).length;
  const quiet = partial
    ? ["当前无报警，但监测不完整", "no alarms, but sources are away: monitoring is incomplete"]
    : silenced > 0
      ? [`当前无报警提示，但有 ${silenced} 条被搁置、抑制或停用`, `nothing annunciated, but ${silenced} shelved, suppressed or out of service`]
      : board.stops.length > 0
        ? ["当前无报警，但有单元停用", "no alarms, but units are stopped"]
        : ["当前无报警", "no alarms"];
  byId("quiet").classList.toggle("partial", partial || silenced > 0 || board.stops.length > 0);
  [byId("quiet-zh").textContent, byId("quiet-en").textContent] = quiet;
  byId("quiet").hidden = !fresh || annunciated().length > 0 || !board.health.ready;
  const count = waiting().length;
  document.title = !fresh ? "✕ 连接断开 riskgate" : count > 0 ? `(${count}) 未确认 riskgate` : "riskgate";
  soundButton();
}

// ---- sound --------------------------------------------------------------------------------------------

// A pattern for each priority: tones in Hz, each 0.18 s, and the pause until it comes again. The last is
// for a page that has lost its gateway: an operator who hears nothing must be able to trust the silence.
const PATTERNS = {
  critical: { tones: [988, 1319, 988, 1319, 988, 1319], every: 2_000 },
  high: { tones: [880, 1175, 880], every: 4_000 },
  medium: { tones: [784, 784], every: 8_000 },
  low: { tones: [659], every: 15_000 },
  lost: { tones: [440, 330], every: 10_000 },
};
let audio = null;
let lastPlayed = -Infinity;
let lastPattern = null;

const soundOn = () => audio !== null && audio.state === "running";

function play(pattern) {
  let at = audio.currentTime + 0.05;
  for (const tone of pattern.tones) {
    const oscillator = audio.createOscillator();
    const volume = audio.createGain();
    oscillator.frequency.value = tone;
    oscillator.type = "triangle";
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(0.5, at + 0.02);
    volume.gain.setValueAtTime(0.5, at + 0.13);
    volume.gain.linearRampToValueAtTime(0, at + 0.18);
    oscillator.connect(volume).connect(audio.destination);
    oscillator.start(at);
    oscillator.stop(at + 0.2);
    at += 0.22;
  }
}

function wantedPattern() {
  if (lastAt !== null && !current()) return "lost";
  const ranks = waiting().sort((a, b) => PRIORITIES[b.priority].rank - PRIORITIES[a.priority].rank);
  return ranks.length > 0 ? ranks[0].priority : null;
}

function sing() {
  const wanted = wantedPattern();
  if (!soundOn() || wanted === null) { lastPattern = wanted; return; }
  const now = performance.now();
  // A graver alarm is heard at once, not after the pause of the lesser.
  if (wanted === lastPattern && now - lastPlayed < PATTERNS[wanted].every) return;
  lastPattern = wanted;
  lastPlayed = now;
  play(PATTERNS[wanted]);
}

function soundButton() {
  const on = soundOn();
  const button = byId("sound");
  button.classList.toggle("on", on);
  button.classList.toggle("wanted", !on && (waiting().length > 0 || (lastAt !== null && !current())));
  byId("sound-zh").textContent = on ? "声音已开" : "开启声音";
  byId("sound-en").textContent = on ? "sound on · click to test" : "enable sound";
}

async function enableSound() {
  audio ??= new AudioContext();
  audio.onstatechange = soundButton;
  // Without a click this waits until there is one; a kiosk browser may allow it at once.
  await audio.resume();
  soundButton();
}

byId("sound").addEventListener("click", async () => {
  await enableSound();
  play(PATTERNS.low);
});
enableSound();

connect();
setInterval(() => { beat(); sing(); }, 500);
