// The microphone of the tab Live: sound leaves as WAV in base64, a piece at a time, and the next piece
// goes when the server has answered the last; a slow server or network gets fewer, longer pieces.
// Gradio hands in: element (our markup), props, trigger, watch.
const RATE_HZ = 16000; // what the models hear; a browser that cannot resample sends its own rate
const PIECE_SECONDS = 0.4;
const MAX_PIECE_SECONDS = 10; // below the 2 MiB that the server takes, at any rate of a sound card

const button = element.querySelector('button');
const level = element.querySelector('meter');
const note = element.querySelector('.wl-note');
const BATCHER = `registerProcessor('batcher', class extends AudioWorkletProcessor {
  constructor() { super(); this.batch = []; }
  process([[channel]]) {
    if (channel) this.batch.push(channel.slice());
    if (this.batch.length >= 16) this.port.postMessage(this.batch.splice(0));
    return true;
  }
});`;

let stream = null;
let context = null;
let samples = []; // Float32Arrays that were not sent yet
let length = 0;
let answered = true;
let ending = false;

const show = (text, pressed) => {
  button.querySelector('span').textContent = text;
  button.classList.toggle('wl-recording', pressed);
};

const say = (event, value) => {
  answered = false;
  props.value = value;
  trigger(event);
};

const wav = count => {
  const joined = new Int16Array(count);
  let at = 0;
  while (at < count) {
    const part = samples[0].subarray(0, count - at);
    for (const sample of part) joined[at++] = Math.max(-1, Math.min(1, sample)) * 32767;
    if (part.length === samples[0].length) samples.shift();
    else samples[0] = samples[0].subarray(part.length);
  }
  length -= count;
  const file = new DataView(new ArrayBuffer(44 + 2 * count));
  const text = (offset, letters) => [...letters].forEach((c, n) => file.setUint8(offset + n, c.charCodeAt(0)));
  text(0, 'RIFF'); file.setUint32(4, 36 + 2 * count, true); text(8, 'WAVEfmt ');
  file.setUint32(16, 16, true); file.setUint16(20, 1, true); file.setUint16(22, 1, true);
  file.setUint32(24, context.sampleRate, true); file.setUint32(28, 2 * context.sampleRate, true);
  file.setUint16(32, 2, true); file.setUint16(34, 16, true);
  text(36, 'data'); file.setUint32(40, 2 * count, true);
  joined.forEach((sample, n) => file.setInt16(44 + 2 * n, sample, true));
  const bytes = new Uint8Array(file.buffer);
  let binary = '';
  for (let n = 0; n < bytes.length; n += 8192) binary += String.fromCharCode(...bytes.subarray(n, n + 8192));
  return btoa(binary);
};

const send = () => {
  if (!answered) return;
  const most = Math.min(length, MAX_PIECE_SECONDS * context.sampleRate);
  if (most > 0 && (ending || most >= PIECE_SECONDS * context.sampleRate)) {
    say('input', wav(most));
  } else if (ending) {
    ending = false;
    context.close();
    context = null;
    say('stop_recording', 'end');
  }
};

const hear = batch => {
  let loudest = 0;
  for (const part of batch) {
    samples.push(part);
    length += part.length;
    for (const sample of part) loudest = Math.max(loudest, Math.abs(sample));
  }
  level.value = loudest;
  send();
};

const start = async () => {
  answered = false; // a second press begins nothing while the browser asks for the microphone
  note.textContent = '';
  let opened;
  try {
    opened = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    answered = true;
    note.textContent = 'No microphone: there is none, or this page may not use it (see the address bar).';
    return;
  }
  let source;
  try {
    context = new AudioContext({ sampleRate: RATE_HZ });
    source = context.createMediaStreamSource(opened);
  } catch (error) { // a browser that does not resample a microphone
    context = new AudioContext();
    source = context.createMediaStreamSource(opened);
  }
  const module = URL.createObjectURL(new Blob([BATCHER], { type: 'text/javascript' }));
  await context.audioWorklet.addModule(module);
  URL.revokeObjectURL(module);
  const batcher = new AudioWorkletNode(context, 'batcher');
  batcher.port.onmessage = message => hear(message.data);
  source.connect(batcher);
  [samples, length] = [[], 0];
  stream = opened;
  say('start_recording', 'begin');
  show('Stop', true);
};

const release = () => {
  stream?.getTracks().forEach(track => track.stop());
  stream = null;
  level.value = 0;
  show('Record', false);
};

const stop = () => {
  release();
  ending = true;
  send();
};

button.addEventListener('click', () => {
  if (stream) stop();
  else if (!context && answered) start(); // not while the last recording is being finished
});

watch('value', () => {
  if (props.value === 'failed') { // the page says why
    release();
    context?.close();
    context = null;
    ending = false;
  }
  if (props.value === 'failed' || props.value === '') answered = true;
  if (answered && context) send();
});
