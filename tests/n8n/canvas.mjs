// What a person does on n8n's canvas, in a headless Chromium: sign in, open a workflow, download it by the menu, drag one node.
// node canvas.mjs CHROMIUM PROFILE BASE EMAIL PASSWORD WORKFLOW_ID DOWNLOADS NODE
// Prints "dragged" when the mouse is up; n8n saves by itself some seconds later. Ends when its standard input does.
import { spawn } from 'node:child_process';
import { readFileSync, existsSync } from 'node:fs';

const [program, profile, base, email, password, workflow, downloads, node] = process.argv.slice(2);
const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-sync',
  '--disable-component-update', '--window-size=1600,1000', `--user-data-dir=${profile}`, '--remote-debugging-port=0', 'about:blank'];
const chromium = spawn(program, flags, { stdio: 'ignore' });
process.on('exit', () => chromium.kill('SIGKILL'));
process.stdin.on('end', () => process.exit(0)).resume();
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const within = async (seconds, what, look) => {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await pause(150)) {
    const found = await look();
    if (found) return found;
  }
  console.error(`${what} did not come within ${seconds} s`);
  process.exit(1);
};

const file = `${profile}/DevToolsActivePort`;
const port = await within(60, 'Chromium', () => existsSync(file) && readFileSync(file, 'utf8').split('\n')[0]);
const page = await within(30, 'a page', async () =>
  (await (await fetch(`http://127.0.0.1:${port}/json`)).json()).find((each) => each.type === 'page'));
const socket = new WebSocket(page.webSocketDebuggerUrl);
await new Promise((open) => (socket.onopen = open));
let count = 0;
const waiting = new Map();
socket.onmessage = (message) => {
  const answer = JSON.parse(message.data);
  waiting.get(answer.id)?.(answer.result);
  waiting.delete(answer.id);
};
const send = (method, params = {}) => new Promise((done) => {
  waiting.set(++count, done);
  socket.send(JSON.stringify({ id: count, method, params }));
});
const js = async (expression) =>
  (await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true }))?.result?.value;

await send('Page.enable');
await send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath: downloads });
await send('Page.navigate', { url: `${base}/signin` });
await within(60, 'the sign-in page', () => js(`!!document.querySelector('input[type=password]')`));
const credentials = JSON.stringify(JSON.stringify({ emailOrLdapLoginId: email, password }));
await js(`fetch('/rest/login', {method: 'POST', headers: {'content-type': 'application/json',
  'browser-id': localStorage.getItem('n8n-browserId') || ''}, body: ${credentials}}).then((answer) => answer.status)`);
await send('Page.navigate', { url: `${base}/workflow/${workflow}` });
await within(60, 'the canvas', () => js(`document.querySelectorAll('[data-test-id="canvas-node"]').length`));
await pause(2500);
await js(`document.querySelector('[data-test-id="workflow-menu"]')?.click()`);
await within(15, 'the menu', () => js(`!!document.querySelector('[data-test-id="workflow-menu-item-download"]')`));
await js(`document.querySelector('[data-test-id="workflow-menu-item-download"]').click()`);
await pause(1500);
await js(`document.querySelector('[data-test-id="zoom-to-fit"]')?.click()`);
await pause(1500);
const [x, y] = await js(`(() => {
  const found = [...document.querySelectorAll('[data-test-id="canvas-node"]')].find((each) => each.innerText.includes(${JSON.stringify(node)}));
  const box = found.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 3];
})()`);
const mouse = (type, dx, dy) =>
  send('Input.dispatchMouseEvent', { type, x: x + dx, y: y + dy, button: 'left', buttons: 1, clickCount: 1 });
await mouse('mousePressed', 0, 0);
for (let step = 1; step <= 10; step += 1) { await mouse('mouseMoved', step * 8, step * 6); await pause(30); }
await mouse('mouseReleased', 80, 60);
console.log('dragged');
