// Draws the charts of a report and lets a person move through time, by pointer or by keys.
"use strict";

const PRINTED = 680; // pixels, width of a chart on paper

const EPOCH = 86400000; // where a clip begins on the time axis, as vidinv/report/curves.py has it

// A place on the time axis as 0:07.40 or 1:02:03.50.
function clock(place) {
  const hundredths = Math.round((place - EPOCH) / 10);
  const minutes = Math.floor(hundredths / 6000), rest = hundredths % 6000;
  const seconds = String(Math.floor(rest / 100)).padStart(2, "0") + "." + String(rest % 100).padStart(2, "0");
  if (minutes < 60) return `${minutes}:${seconds}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${seconds}`;
}

// Index of the entry of a rising list that is nearest to `value`.
function nearest(list, value) {
  let low = 0, high = list.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < value) low = middle + 1; else high = middle;
  }
  return low > 0 && value - list[low - 1] <= list[low] - value ? low - 1 : low;
}

// Adds plotly.js, which the page holds as gzip in base64, as a script; the page's policy allows it by its digest.
async function loadLibrary() {
  const packed = Uint8Array.from(atob(document.getElementById("library").textContent), (c) => c.charCodeAt(0));
  const plain = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(plain).text();
  document.body.append(script);
}

async function draw(chart) {
  const figure = JSON.parse(document.getElementById(chart.dataset.figure).textContent);
  const settings = { responsive: true, displayModeBar: false };
  await Plotly.newPlot(chart, figure.data, figure.layout, settings);
  const viewer = chart.parentElement.querySelector(".viewer");
  if (viewer) attach(chart, viewer, figure);
}

// The curves that have a value to read out, their times and values without gaps.
function readable(figure) {
  return figure.data.filter((trace) => trace.meta && trace.meta.say).map((trace) => {
    const kept = trace.y.map((y, i) => i).filter((i) => trace.y[i] !== null);
    return { ...trace.meta, x: kept.map((i) => trace.x[i]), y: kept.map((i) => trace.y[i]) };
  });
}

function attach(chart, viewer, figure) {
  const curves = readable(figure);
  if (!curves.length) return;
  const times = curves.reduce((longest, curve) => (curve.x.length > longest.length ? curve.x : longest), []);
  const step = times.length > 1 ? (times[times.length - 1] - times[0]) / (times.length - 1) : 0;
  const slider = viewer.querySelector("input"), output = viewer.querySelector("output");
  const seen = viewer.querySelector(".seen");
  const pictures = [...document.querySelectorAll(`img[data-track="${viewer.dataset.track}"]`)]
    .sort((a, b) => a.dataset.time - b.dataset.time);
  const shot = pictures.map((image) => EPOCH + image.dataset.time * 1000);

  function show(index, fraction) {
    const time = times[index];
    const values = curves.map((curve) => [curve, nearest(curve.x, time)])
      .filter(([curve, i]) => Math.abs(curve.x[i] - time) <= Math.max(500, 2 * step))
      .map(([curve, i]) => `${curve.say} ${curve.y[i].toFixed(curve.digits)}`);
    const flags = figure.layout.meta.flags.filter((flag) => flag.from - step / 2 <= time && time <= flag.to + step / 2);
    output.textContent = [`${clock(time)}: ${values.join(", ")}`, ...flags.map((flag) => `Flag: ${flag.text}`)].join(". ");
    slider.setAttribute("aria-valuetext", clock(time));
    if (pictures.length) {
      const place = nearest(shot, time), image = pictures[place];
      seen.hidden = false;
      seen.querySelector("img").src = image.src;
      seen.querySelector("img").alt = image.alt;
      seen.querySelector("figcaption").textContent = `pictures at ${clock(shot[place])}`;
      const room = slider.clientWidth - seen.offsetWidth;
      seen.style.marginLeft = `${Math.max(0, Math.min(room, fraction * slider.clientWidth - seen.offsetWidth / 2))}px`;
    }
  }

  slider.max = times.length - 1;
  slider.addEventListener("input", () => {
    const index = Number(slider.value);
    show(index, index / Math.max(1, times.length - 1));
    Plotly.Fx.hover(chart, { xval: times[index] }, "xy");
  });
  chart.on("plotly_hover", ({ event, points }) => {
    if (!("clientX" in event)) return; // the slider asked for it
    const index = nearest(times, points[0].data.x[points[0].pointNumber]);
    const box = slider.getBoundingClientRect();
    slider.value = index;
    show(index, (event.clientX - box.left) / box.width);
  });
  viewer.hidden = false;
  show(0, 0);
}

// One after the other, so that the page answers meanwhile.
async function drawAll(charts) {
  if (!("DecompressionStream" in window)) {
    const said = "The charts need a browser of 2023 or later; the tables on this page do not.";
    charts.forEach((chart) => { chart.textContent = said; });
    return;
  }
  await loadLibrary();
  for (const chart of charts) {
    await draw(chart);
    await new Promise(requestAnimationFrame);
  }
}

function resize(size) {
  document.querySelectorAll(".js-plotly-plot").forEach((chart) => Plotly.relayout(chart, size));
}

addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((folded) => { folded.open = true; });
  resize({ width: PRINTED });
});
addEventListener("afterprint", () => resize({ width: null, autosize: true }));
drawAll(document.querySelectorAll("[data-figure]"));
