// Opens every picture and report of a folder in a browser, in light and dark, wide and narrow, and tells what is wrong
// with them, as JSON: an empty list is what one wants.
// Arguments: folder of pictures, path of Chromium, folder for screenshots.

import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

import { chromium } from "playwright-core";

const [folder, executablePath, shots] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TEXT_MIN_PX = 11;
const WINDOWS = [1200, 800, 360, 320];
// In one window of each layout.
const RULED = [1200, 360];
const found = { wrong: [], pictures: 0, reports: 0, looks: 0 };

// Runs in the page: what of its pictures is not as it should be.
function look(least) {
  const wrong = [];
  for (const svg of document.querySelectorAll("svg")) {
    const frame = svg.getBoundingClientRect();
    if (frame.width === 0) {
      continue;
    }
    const title = svg.querySelector("title")?.textContent ?? "";
    if (svg.getAttribute("role") !== "img" || !title || !svg.querySelector("desc")?.textContent) {
      wrong.push(`${title}: has no role, title or description`);
    }
    const texts = [...svg.querySelectorAll("text")].map((text) => ({
      said: text.textContent,
      size: parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a,
      box: text.getBBox(),
    }));
    const view = svg.viewBox.baseVal;
    for (const [at, text] of texts.entries()) {
      const { x, y, width, height } = text.box;
      if (text.size < least) {
        wrong.push(`${title}: "${text.said}" is ${text.size} px`);
      }
      if (x < -0.5 || y < -0.5 || x + width > view.width + 0.5 || y + height > view.height + 0.5) {
        wrong.push(`${title}: "${text.said}" leaves the picture`);
      }
      for (const other of texts.slice(at + 1)) {
        const across = Math.min(x + width, other.box.x + other.box.width) - Math.max(x, other.box.x);
        const down = Math.min(y + height, other.box.y + other.box.height) - Math.max(y, other.box.y);
        if (across > 1 && down > 1) {
          wrong.push(`${title}: "${text.said}" and "${other.said}" overlap`);
        }
      }
    }
  }
  const page = document.scrollingElement;
  if (page && page.scrollWidth > page.clientWidth) {
    wrong.push(`the page is ${page.scrollWidth} wide in a window of ${page.clientWidth}`);
  }
  return wrong;
}

// Runs in the page, once axe is there.
async function rules() {
  const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
  return violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.target} ${node.failureSummary}`));
}

const browser = await chromium.launch({ executablePath, headless: true, args: ["--no-sandbox", "--disable-gpu"] });
try {
  const files = readdirSync(folder).filter((name) => /\.(svg|html)$/.test(name)).sort();
  for (const colorScheme of ["light", "dark"]) {
    const page = await browser.newPage({ colorScheme });
    let now = "";
    const say = (what) => found.wrong.push(`${now}: ${what}`);
    page.on("console", (message) => say(message.text()));
    page.on("pageerror", (error) => say(String(error)));
    page.on("request", (request) => {
      if (!/^(file|data):/.test(request.url())) {
        say(`asks for ${request.url()}`);
      }
    });
    for (const name of files) {
      const isReport = name.endsWith(".html");
      found[isReport ? "reports" : "pictures"] += colorScheme === "light" ? 1 : 0;
      // Dark changes colours alone.
      const windows = colorScheme === "light" ? WINDOWS : RULED;
      for (const width of isReport ? windows : [1200]) {
        now = `${name}, ${colorScheme}, ${width}`;
        await page.setViewportSize({ width, height: 800 });
        await page.goto(`file://${path.resolve(folder, name)}`);
        (await page.evaluate(look, TEXT_MIN_PX)).forEach(say);
        found.looks += 1;
        if (RULED.includes(width)) {
          const shot = `${shots}/${name.replace(/\.\w+$/, "")}-${colorScheme}-${width}.png`;
          await page.screenshot({ path: shot, fullPage: isReport });
        }
        if (isReport) {
          // The tables too.
          await page.evaluate(() => document.querySelectorAll("details").forEach((one) => one.setAttribute("open", "")));
          (await page.evaluate(look, TEXT_MIN_PX)).forEach(say);
        }
        if (isReport && RULED.includes(width)) {
          await page.evaluate(axe);
          (await page.evaluate(rules)).forEach(say);
        }
      }
      if (isReport) {
        now = `${name}, ${colorScheme}, printed`;
        await page.goto(`file://${path.resolve(folder, name)}`);
        await page.emulateMedia({ media: "print" });
        const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        if (ground !== "rgb(255, 255, 255)") {
          say(`the ground is ${ground}`);
        }
        const hidden = await page.evaluate(() =>
          [...document.querySelectorAll("table")].filter((table) => !table.checkVisibility({ contentVisibilityAuto: true })).length);
        if (hidden > 0) {
          say(`${hidden} tables are not printed`);
        }
        await page.pdf({ path: `${shots}/${name.replace(/\.\w+$/, "")}.pdf`, format: "A4" });
        await page.emulateMedia({ media: "screen" });
      }
    }
    await page.close();
  }
  console.log(JSON.stringify(found));
} finally {
  await browser.close();
}
