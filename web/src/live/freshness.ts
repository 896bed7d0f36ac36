// Whether what is on the screen may be believed. Pure: values and the time in, values out. All times are Unix milliseconds of
// the browser's clock unless a name says otherwise.

/** A lost link shorter than this changes nothing but a small mark. */
export const GRACE_MS = 5_000
/** The document checks every 30 s. */
const CHECKED_EVERY_S = 30
/** With an open socket, so much silence makes the panel ask by itself. */
export const SILENCE_MS = 15_000
/** Without a socket the panel asks this often. */
export const POLL_MS = 5_000
const BACKOFF_FIRST_MS = 500
const BACKOFF_LIMIT_MS = 30_000

/** What is known of the way to the control API. */
export interface Link {
  socketOpen: boolean
  /** A first dial has ended, one way or the other. */
  socketTried: boolean
  /** Since when the API does not answer; null: it does, as far as is known. */
  suspectSince: number | null
  /** When anything of the API was last heard; null: never. */
  heardAt: number | null
}

export type Phase = 'connecting' | 'live' | 'polling' | 'reconnecting' | 'away'

export function phaseOf(link: Link, now: number): Phase {
  if (link.suspectSince !== null) return now - link.suspectSince < GRACE_MS ? 'reconnecting' : 'away'
  if (link.heardAt === null) return 'connecting'
  if (link.socketOpen) return 'live'
  return link.socketTried ? 'polling' : 'connecting'
}

/** When a measurement was made (server's clock) and when it arrived (browser's clock). */
export interface Stamp {
  measuredAtServer: number
  heardAt: number
}

/** The age of a measurement in milliseconds: the worse of what both clocks say, never negative. */
export function ageOf(stamp: Stamp, now: number, serverNow: number): number {
  return Math.max(0, now - stamp.heardAt, serverNow - stamp.measuredAtServer)
}

/**
 * One and a half intervals without news make a state unknown. A service that is looked at more often than the document asks for is
 * given as long: its news may arrive by polling.
 */
export function staleAfter(checkedEverySeconds: number | null | undefined): number {
  return 1500 * Math.max(CHECKED_EVERY_S, checkedEverySeconds ?? 0)
}

/** How much of a state may be claimed. */
export type Trust = 'fresh' | 'last-known' | 'none'

export function trustOf(stamp: Stamp | null, phase: Phase, now: number, serverNow: number, staleMs = staleAfter(null)): Trust {
  if (stamp === null) return 'none'
  if (phase === 'away') return 'last-known'
  return ageOf(stamp, now, serverNow) > staleMs ? 'last-known' : 'fresh'
}

/** How long to wait before attempt number `attempt` (from 0): exponential with full jitter. `random` is in [0, 1). */
export function backoff(attempt: number, random: number): number {
  const ceiling = Math.min(BACKOFF_LIMIT_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 10))
  return Math.round(random * ceiling)
}

/** How the panel should ask next. */
export interface Timetable {
  polling: boolean
  dialling: boolean
  polledAt: number
  retryAt: number
}

export interface Plan {
  poll: boolean
  dial: boolean
}

/** What to do at this moment: fetch the state, open the socket, both or nothing. A dead API is not dialled, only asked. */
export function planAt(link: Link, t: Timetable, now: number): Plan {
  if (link.suspectSince !== null || link.heardAt === null) {
    return { poll: !t.polling && now >= t.retryAt, dial: false }
  }
  if (link.socketOpen) {
    const quietSince = Math.max(link.heardAt, t.polledAt)
    return { poll: !t.polling && now - quietSince >= SILENCE_MS, dial: false }
  }
  return { poll: !t.polling && now - t.polledAt >= POLL_MS, dial: !t.dialling && now >= t.retryAt }
}
