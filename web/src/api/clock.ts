// The browser's clock and the server's differ. Ages of measurements are taken on the server's clock, whose offset is read
// from the Date header of each answer (1 s resolution, which is enough for ages shown in seconds).

let offsetMs = 0

/** Learns the offset from one answer. A missing or unreadable header changes nothing. */
export function learnServerTime(dateHeader: string | null, sentAt: number, receivedAt: number): void {
  const server = dateHeader === null ? NaN : Date.parse(dateHeader)
  if (Number.isNaN(server)) return
  // The header is cut to the second: half a second is the best guess for what was cut off.
  const next = server + 500 - (sentAt + receivedAt) / 2
  // Differences below the header's resolution are noise.
  if (Math.abs(next - offsetMs) > 1000) offsetMs = next
}

/** What the server's clock shows when the browser's shows `local` (both in Unix milliseconds). */
export function serverTime(local: number): number {
  return local + offsetMs
}

/** When the browser's clock showed the moment that the server calls `server`. */
export function localTime(server: number): number {
  return server - offsetMs
}
