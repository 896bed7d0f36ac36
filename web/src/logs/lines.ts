// Log lines as the viewer needs them: in the order of time, filtered, and copied as text. Pure.

import type { LogLine } from '@/api/schema'
import { follow } from '@/messages'
import type { Level } from '@/status/status'
import { parseTime, utc } from '@/time'

import type { Row } from './tail'

/** Oldest first, as on a terminal. Lines of the same time keep the order in which the server has them. */
export function inOrder(lines: readonly LogLine[]): LogLine[] {
  const time = (l: LogLine) => parseTime(l.timestamp) ?? 0
  const first = lines[0]
  const last = lines.at(-1)
  const newestFirst = first && last && time(first) > time(last)
  const copy = newestFirst ? [...lines].reverse() : [...lines]
  return copy.sort((a, b) => time(a) - time(b))
}

/** The rows whose line contains a text, in whatever case. Marks between lines stay only among all lines. */
export function matching(rows: readonly Row[], text: string): readonly Row[] {
  const wanted = text.trim().toLowerCase()
  return wanted === '' ? rows : rows.filter(({ line }) => line?.message.toLowerCase().includes(wanted))
}

/** How many lines of `now` came after those that were there before. */
export function newerThan(before: readonly Row[], now: readonly Row[]): number {
  const last = before.at(-1)?.n ?? 0
  return now.filter((r) => r.n > last && r.line).length
}

export function errorsIn(rows: readonly Row[]): number {
  return rows.filter(({ line }) => line && levelMark(line.level) === 'down').length
}

export function asText(rows: readonly Row[], service: string): string {
  const lines = rows.map((r) => r.line)
  const times = lines.map((l) => parseTime(l?.timestamp)).filter((t) => t !== null)
  const [first, last] = [times.at(0), times.at(-1)]
  const range = first === undefined || last === undefined ? '' : `, ${utc(first)} to ${utc(last)}`
  const text = (l: LogLine | null) => (l ? `${l.timestamp ?? '-'} ${l.level.padEnd(7)} ${l.message}` : `# ${follow.gap}`)
  return [`# ${service}${range}`, ...lines.map(text)].join('\n')
}

/** Levels are told by word and shape; the shape is that of the state it would make of a service. */
export function levelMark(level: string): Level | null {
  if (/^(error|critical|fatal)$/i.test(level)) return 'down'
  return /^warn/i.test(level) ? 'degraded' : null
}
