// Log lines as the viewer needs them: in the order of time, filtered, and copied as text. Pure.

import type { LogLine } from '@/api/schema'
import type { Level } from '@/status/status'
import { parseTime, utc } from '@/time'

/** Oldest first, as on a terminal. Lines of the same time keep the order in which the server has them. */
export function inOrder(lines: readonly LogLine[]): LogLine[] {
  const time = (l: LogLine) => parseTime(l.timestamp) ?? 0
  const first = lines[0]
  const last = lines.at(-1)
  const newestFirst = first && last && time(first) > time(last)
  const copy = newestFirst ? [...lines].reverse() : [...lines]
  return copy.sort((a, b) => time(a) - time(b))
}

export function matching(lines: readonly LogLine[], text: string): LogLine[] {
  const wanted = text.trim().toLowerCase()
  return wanted === '' ? [...lines] : lines.filter((l) => l.message.toLowerCase().includes(wanted))
}

const key = (l: LogLine) => `${l.timestamp} ${l.level} ${l.message}`

/** How many of `now` were not there before. */
export function newSince(before: readonly LogLine[], now: readonly LogLine[]): number {
  const seen = new Set(before.map(key))
  return now.filter((l) => !seen.has(key(l))).length
}

export function asText(lines: readonly LogLine[], service: string): string {
  const first = parseTime(lines[0]?.timestamp)
  const last = parseTime(lines.at(-1)?.timestamp)
  const range = first === null || last === null ? '' : `, ${utc(first)} to ${utc(last)}`
  return [`# ${service}${range}`, ...lines.map((l) => `${l.timestamp ?? '-'} ${l.level.padEnd(7)} ${l.message}`)].join('\n')
}

/** Levels are told by word and shape; the shape is that of the state it would make of a service. */
export function levelMark(level: string): Level | null {
  if (/^(error|critical|fatal)$/i.test(level)) return 'down'
  return /^warn/i.test(level) ? 'degraded' : null
}
