"use strict";
// The page of `cnncli serve`: an image from a file, the clipboard, the camera or a drawing goes to /predict and /explain.
const $ = (id) => document.getElementById(id);
const TABS = ["file", "camera", "draw"];
const MOST_BARS = 10;
const DIGIT = 20 / 28; // of the side: the box that MNIST's digits are fitted into
let last = null; // the image that is shown: a Blob
let turn = 0; // number of the latest request: answers of earlier ones are not shown
let stream = null;

function say(text, problem = false) {
  $("status").textContent = text;
  $("status").className = problem ? "problem" : "";
}

async function ask(path, blob) {
  const response = await fetch(`${path}?invert=${$("invert").checked}`, { method: "POST", body: blob });
  const answer = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

async function predict(blob) {
  last = blob;
  const mine = ++turn;
  say("…");
  try {
    const answer = await ask("predict", blob);
    if (mine !== turn) return;
    show(answer);
    const why = await ask("explain", blob).catch(() => null);
    if (mine === turn) explain(why);
    if (mine === turn) say("");
  } catch (error) {
    if (mine !== turn) return;
    clearAnswer();
    say(error.message, true);
  }
}

function clearAnswer() {
  $("answer").textContent = "";
  $("bars").replaceChildren();
  $("pictures").hidden = true;
}

function show({ classes, predictions: [found] }) {
  const numbers = found.probabilities || found.values || [];
  $("answer").textContent = found.class ?? (found.classes ? found.classes.join(", ") || "none" : "");
  const ranked = numbers.map((value, place) => [classes[place] ?? `${place}`, value]);
  if (found.probabilities) ranked.sort((a, b) => b[1] - a[1]);
  $("bars").replaceChildren(...ranked.slice(0, MOST_BARS).map(([name, value]) => bar(name, value, !!found.probabilities)));
  if (!numbers.length && !$("answer").textContent) $("answer").textContent = summary(found);
}

function summary(found) {
  const { file, ...rest } = found;
  return Object.entries(rest).map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join(", ").slice(0, 400);
}

function bar(name, value, share) {
  const row = document.createElement("li");
  const label = document.createElement("span");
  label.className = "name";
  label.textContent = label.title = name;
  const number = document.createElement("span");
  number.className = "number";
  number.textContent = share ? `${(100 * value).toFixed(1)} %` : value.toPrecision(4);
  const meter = document.createElement("meter");
  meter.max = 1;
  meter.value = share ? value : 0;
  meter.setAttribute("aria-label", name);
  row.append(label, share ? meter : document.createElement("span"), number);
  return row;
}

function explain(why) {
  $("pictures").hidden = !why;
  if (!why) return;
  $("input").src = why.input;
  $("cam").hidden = !why.gradcam.length;
  if (why.gradcam.length) $("gradcam").src = why.gradcam[0].image;
  $("for").textContent = why.class ?? "";
}

function choose(file) {
  if (!file) return;
  if (!file.type.startsWith("image/")) return say(`${file.name || "this"} is not a picture`, true);
  select("file");
  if ($("shown").src) URL.revokeObjectURL($("shown").src);
  $("shown").src = URL.createObjectURL(file);
  $("shown").hidden = false;
  $("shown").alt = file.name || "the picture";
  $("hint").hidden = true;
  predict(file);
}

function select(name) {
  for (const tab of TABS) {
    const chosen = tab === name;
    $(tab).hidden = !chosen;
    $(`tab-${tab}`).setAttribute("aria-selected", chosen);
    $(`tab-${tab}`).tabIndex = chosen ? 0 : -1;
  }
  if (name === "camera") openCamera();
  else closeCamera();
}

async function openCamera() {
  if (!navigator.mediaDevices) return say("The browser gives the camera only to pages of this machine or over HTTPS", true);
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    $("video").srcObject = stream;
    await $("video").play();
    say("");
  } catch (error) {
    say(`There is no camera to use: ${error.message}`, true);
  }
}

function closeCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
}

function take() {
  const video = $("video");
  if (!video.videoWidth) return;
  const still = document.createElement("canvas");
  [still.width, still.height] = [video.videoWidth, video.videoHeight];
  still.getContext("2d").drawImage(video, 0, 0);
  still.toBlob((blob) => predict(blob), "image/png");
}

// Drawing: white on black; a pen of a tenth of the side, as MNIST's strokes are.
const pen = $("canvas").getContext("2d", { willReadFrequently: true });
const side = $("canvas").width;
let at = { x: side / 2, y: side / 2 };
let drawn = false;

function clearDrawing() {
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, side, side);
  drawn = false;
  at = { x: side / 2, y: side / 2 };
}

function stroke(to) {
  pen.strokeStyle = "#fff";
  pen.lineWidth = side / 12;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  pen.moveTo(at.x, at.y);
  pen.lineTo(to.x, to.y);
  pen.stroke();
  at = to;
  drawn = true;
}

function place(event) {
  const box = $("canvas").getBoundingClientRect();
  return { x: ((event.clientX - box.left) * side) / box.width, y: ((event.clientY - box.top) * side) / box.height };
}

// As MNIST's digits were made: the box of the stroke is fitted into 20 × 20 of 28 × 28 pixels, and its center of mass
// put in the middle. The size is that of the model's input.
function prepared(size) {
  const pixels = pen.getImageData(0, 0, side, side).data;
  let [left, top, right, bottom] = [side, side, -1, -1];
  for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) if (pixels[4 * (y * side + x)] > 0) {
    [left, right] = [Math.min(left, x), Math.max(right, x)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
  }
  if (right < 0) return null;
  const [wide, high] = [right - left + 1, bottom - top + 1];
  const scale = (DIGIT * size) / Math.max(wide, high);
  const small = document.createElement("canvas");
  small.width = small.height = size;
  const context = small.getContext("2d", { willReadFrequently: true });
  const put = (x, y) => {
    context.fillStyle = "#000";
    context.fillRect(0, 0, size, size);
    context.imageSmoothingQuality = "high";
    context.drawImage($("canvas"), left, top, wide, high, x, y, wide * scale, high * scale);
  };
  let [x, y] = [(size - wide * scale) / 2, (size - high * scale) / 2];
  put(x, y);
  const found = context.getImageData(0, 0, size, size).data;
  let [mass, across, down] = [0, 0, 0];
  for (let row = 0; row < size; row++) for (let column = 0; column < size; column++) {
    const value = found[4 * (row * size + column)];
    mass += value;
    across += value * (column + 0.5);
    down += value * (row + 0.5);
  }
  put(x + Math.round(size / 2 - across / mass), y + Math.round(size / 2 - down / mass));
  return small;
}

let size = 28;
let waiting = 0;
function predictDrawing() {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const small = drawn && prepared(size);
    if (small) small.toBlob((blob) => predict(blob), "image/png");
  }, 150);
}

function wire() {
  for (const tab of TABS) $(`tab-${tab}`).addEventListener("click", () => select(tab));
  document.querySelector(".tabs").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const shown = TABS.filter((tab) => !$(`tab-${tab}`).hidden);
    const now = shown.findIndex((tab) => $(`tab-${tab}`).getAttribute("aria-selected") === "true");
    const next = shown[(now + step + shown.length) % shown.length];
    select(next);
    $(`tab-${next}`).focus();
  });
  $("choose").addEventListener("change", (event) => choose(event.target.files[0]));
  for (const name of ["dragover", "dragleave", "drop"]) addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") choose(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => choose([...event.clipboardData.files][0]));
  $("take").addEventListener("click", take);
  $("invert").addEventListener("change", () => last && predict(last));
  const canvas = $("canvas");
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    at = place(event);
    stroke(at);
  });
  canvas.addEventListener("pointermove", (event) => event.buttons && stroke(place(event)));
  canvas.addEventListener("pointerup", predictDrawing);
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Delete" || event.key === "Backspace") return clear();
    if (!move) return;
    event.preventDefault();
    const bound = (value) => Math.min(side, Math.max(0, value));
    const to = { x: bound(at.x + (move[0] * side) / 28), y: bound(at.y + (move[1] * side) / 28) };
    if (event.shiftKey) {
      stroke(to);
      predictDrawing();
    } else at = to;
  });
  $("clear").addEventListener("click", clear);
}

function clear() {
  clearDrawing();
  turn++;
  clearAnswer();
  say("");
}

async function begin() {
  clearDrawing();
  wire();
  try {
    const about = await (await fetch("metadata")).json();
    const [height, width, channels] = about.input_shape;
    $("name").textContent = document.title = about.name;
    $("about").textContent = `${about.classes.length ? `${about.classes.length} classes · ` : ""}input ${width} × ${height} × ${channels} · epoch ${about.epoch}`;
    // Drawing is for small gray images, such as digits.
    const draws = channels === 1 && height === width && height <= 64;
    size = height;
    $("tab-draw").hidden = !draws;
    select(draws ? "draw" : "file");
  } catch (error) {
    select("file");
    say(`the server does not answer: ${error.message}`, true);
  }
}
begin();
