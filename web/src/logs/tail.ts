// A followed log as far as it is kept: its newest lines in the order in which they came, each once. Pure.

import type { LogLine, LogMessage } from '@/api/schema'
import { parseTime } from '@/time'

/** How many lines are kept, and so stand on the page at most. It is also the most that the server hands over at once. */
export const KEPT_LINES = 1000

// A line of the one source may arrive after a later one of the other: what is asked for again begins a little earlier.
const MARGIN_MS = 10_000

/** One row of the page: a line, or the mark that lines before the next one may be missing. */
export interface Row {
  /** Numbers the rows of a tail without gaps, from 1. */
  n: number
  line: LogLine | null
}

export interface Tail {
  rows: readonly Row[]
  /** How many rows there were so far, with those that are not kept any more. */
  count: number
  /** Why the log cannot be read at the moment, in the server's words; empty: it can. */
  fault: string
  /** Of a connection that repeats what is here already: how often each line is still to be passed over. */
  repeat: { left: ReadonlyMap<string, number>; begun: boolean } | null
}

export const EMPTY: Tail = { rows: [], count: 0, fault: '', repeat: null }

export function isLogMessage(x: unknown): x is LogMessage {
  return typeof x === 'object' && x !== null && (x as LogMessage).type === 'log' && Array.isArray((x as LogMessage).lines)
}

const key = (l: LogLine) => `${l.timestamp} ${l.source} ${l.level} ${l.message}`

/** From when on to ask for what was missed; undefined while nothing with a time is known. */
export function cursorOf(tail: Tail): string | undefined {
  const newest = tail.rows.reduce((most, { line }) => Math.max(most, parseTime(line?.timestamp) ?? 0), 0)
  return newest === 0 ? undefined : new Date(newest - MARGIN_MS).toISOString()
}

/** The tail as it waits for a new connection, which repeats what was there since the cursor. */
export function resuming(tail: Tail): Tail {
  const cursor = parseTime(cursorOf(tail))
  if (cursor === null) return { ...tail, repeat: null }
  const left = new Map<string, number>()
  for (const { line } of tail.rows) {
    if (line === null || (parseTime(line.timestamp) ?? cursor) < cursor) continue
    left.set(key(line), (left.get(key(line)) ?? 0) + 1)
  }
  return { ...tail, repeat: { left, begun: false } }
}

/** The tail after a message. */
export function taken(tail: Tail, message: LogMessage): Tail {
  const left = message.snapshot && tail.repeat ? new Map(tail.repeat.left) : null
  const fresh = message.lines.filter((line) => !spend(left, line))
  // Of a repetition at least the last line is known here, unless more was written meanwhile than the server hands over.
  const torn = left !== null && tail.repeat?.begun === false && fresh.length > 0 && fresh.length === message.lines.length
  const more = (message.gap || torn) && tail.count > 0 ? [null, ...fresh] : fresh
  const rows = [...tail.rows, ...more.map((line, i) => ({ n: tail.count + i + 1, line }))].slice(-KEPT_LINES)
  return { rows, count: tail.count + more.length, fault: message.error ?? '', repeat: left && { left, begun: true } }
}

/** Whether a line is one of those that are here already; it then counts as repeated. */
function spend(left: Map<string, number> | null, line: LogLine): boolean {
  const times = left?.get(key(line)) ?? 0
  if (times > 0) left?.set(key(line), times - 1)
  return times > 0
}
