// Writes the tab icons, one per state, with the shapes of src/status/StatusMark.vue on a filled tile.
import { writeFileSync } from 'node:fs'

const shapes = {
  healthy: ['#157f5b', '<path d="m9 16.8 4.8 4.8 9.4-10.4"/>'],
  recovering: ['#1d4ed8', '<path d="M23.5 16a7.5 7.5 0 1 1-2.3-5.4"/><path d="M23.8 6.6v4.8H19"/>'],
  degraded: ['#a85b00', '<path d="M16 8.5v9"/><path d="M16 22.8v.4"/>'],
  down: ['#9b1020', '<path d="m10.5 10.5 11 11m0-11-11 11"/>'],
  unknown: ['#4b5563', '<circle cx="16" cy="16" r="8" stroke-dasharray="3.5 4.9"/>'],
  stopped: ['#4b5563', '<rect x="10.5" y="10.5" width="11" height="11" rx="1"/>'],
}
const tiles = {
  healthy: '<circle cx="16" cy="16" r="15"/>',
  recovering: '<circle cx="16" cy="16" r="15"/>',
  degraded: '<path d="M16 1.5 31.5 30H.5z"/>',
  down: '<path d="M10 1h12l9 9v12l-9 9H10l-9-9V10z"/>',
  unknown: '<circle cx="16" cy="16" r="15"/>',
  stopped: '<rect x="1" y="1" width="30" height="30" rx="5"/>',
}

for (const [name, [fill, mark]] of Object.entries(shapes)) {
  writeFileSync(
    new URL(`../public/icons/${name}.svg`, import.meta.url),
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><g fill="${fill}">${tiles[name]}</g>` +
      `<g fill="none" stroke="#fff" stroke-width="3.4" stroke-linecap="round" stroke-linejoin="round">${mark}</g></svg>\n`,
  )
}
