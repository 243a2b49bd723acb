// Opens /docs in a browser, sends a prediction from the page, and tells what was seen, as JSON.
// Arguments: URL of the server, path of Chromium, folder for its profile and a screenshot.

import { chromium } from "playwright-core";

const [baseUrl, executablePath, folder] = process.argv.slice(2);
const PATIENCE_MS = 30_000;
const seen = { complaints: [], hosts: [] };

const context = await chromium.launchPersistentContext(`${folder}/profile`, {
  executablePath,
  headless: true,
  // Debian's Chromium runs as root in CI, and looks for its maker's servers unless it is told not to.
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
try {
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") {
      seen.complaints.push(message.text());
    }
  });
  page.on("pageerror", (error) => seen.complaints.push(String(error)));
  page.on("requestfailed", (request) => seen.complaints.push(`failed: ${request.url()}`));
  page.on("request", (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol !== "data:") {
      seen.hosts.push(host);
    }
  });

  await page.goto(`${baseUrl}/docs`);
  const operation = page.locator("#operations-predictions-predict");
  await operation.locator(".opblock-summary-control").click();
  await operation.getByRole("button", { name: "Try it out" }).click();
  await operation.getByRole("button", { name: "Execute" }).click();
  const answer = operation.locator(".live-responses-table .response");
  await answer.waitFor();
  seen.status = (await answer.locator(".response-col_status").innerText()).trim().split(/\s/)[0];
  seen.answer = await answer.locator(".response-col_description .highlight-code").first().innerText();
  seen.url = await operation.locator(".request-url pre").innerText();
  seen.operations = await page.locator(".opblock").count();
  seen.title = await page.locator(".info .title").innerText();
  await page.screenshot({ path: `${folder}/docs.png`, fullPage: false });
  seen.hosts = [...new Set(seen.hosts)];
  console.log(JSON.stringify(seen));
} finally {
  await context.close();
}
