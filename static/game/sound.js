// A few small sounds, made here. Off until somebody wants them, and then remembered.

const KEPT = "the game's sound";
const NOTES = { // each a frequency in hertz, when it begins and how long it lasts, in seconds
  moved: [[220, 0, 0.07], [330, 0.02, 0.05]],
  playing: [[392, 0, 0.12], [523, 0.12, 0.2]],
  finished: [[523, 0, 0.15], [392, 0.15, 0.15], [330, 0.3, 0.35]],
  low: [[880, 0, 0.06], [880, 0.12, 0.06]],
};
const LOUDNESS = 0.12; // of 1

const button = document.getElementById("sound");
let audio;

function play(notes) {
  if (button.ariaPressed !== "true") return;
  audio ??= new AudioContext();
  for (const [frequency, start, length] of notes) {
    const tone = audio.createOscillator(), volume = audio.createGain();
    const from = audio.currentTime + start;
    tone.type = "triangle";
    tone.frequency.value = frequency;
    volume.gain.setValueAtTime(LOUDNESS, from);
    volume.gain.exponentialRampToValueAtTime(0.001, from + length);
    tone.connect(volume).connect(audio.destination);
    tone.start(from);
    tone.stop(from + length);
  }
}

button.ariaPressed = localStorage.getItem(KEPT) ?? "false";
button.addEventListener("click", () => {
  button.ariaPressed = String(button.ariaPressed !== "true");
  localStorage.setItem(KEPT, button.ariaPressed);
  play(NOTES.moved);
});
for (const [name, notes] of Object.entries(NOTES)) {
  document.addEventListener(`match:${name}`, () => play(notes));
}
