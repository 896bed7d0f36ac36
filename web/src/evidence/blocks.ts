// A bundle of evidence as blocks that can be read. What is not known by name is shown by its form, so that nothing is lost. Pure.

import type { LogLine } from '@/api/schema'
import { capital } from '@/text'
import { duration, parseTime, seconds } from '@/time'

/** One value: words, or a moment in Unix milliseconds. */
export type Value = string | number

export type Block =
  | { kind: 'facts'; title: string; facts: { label: string; value: Value }[] }
  | { kind: 'table'; title: string; columns: string[]; rows: Value[][] }
  | { kind: 'log'; title: string; lines: LogLine[] }
  | { kind: 'text'; title: string; text: string }

/** One part of the bundle. A part that holds nothing has no block. */
export interface Part {
  key: string
  title: string
  blocks: Block[]
}

// In the order in which they are read: what there is not, what was seen, what was said, what may be behind it.
const TITLES: Record<string, string> = {
  missing: 'What could not be read',
  late: 'What came only after the act had begun',
  ping: 'The PING',
  unit: 'What systemd said',
  redis: 'What Redis said',
  redis_log: "Redis's own log",
  journal: 'The journal of the unit',
  last_info: 'The newest figures of Redis',
  load: 'The load of the host',
  disks: 'Disks',
  listeners: 'Who listens',
  config: 'The configuration, without secrets',
  changes: 'The newest changes of packages',
  boots: 'Starts of the host',
}

// They are in the heading of the page.
const HEADING = new Set(['incident', 'service', 'taken_at', 'duration_seconds'])

/** The parts of a bundle, those known by name first. */
export function partsOf(bundle: Record<string, unknown>): Part[] {
  const known = Object.keys(TITLES)
  const rank = (key: string) => (known.includes(key) ? known.indexOf(key) : known.length)
  return Object.entries(bundle)
    .filter(([key]) => !HEADING.has(key))
    .sort(([a], [b]) => rank(a) - rank(b))
    .map(([key, value]) => ({ key, title: TITLES[key] ?? label(key), blocks: blocksOf('', value) }))
}

function blocksOf(title: string, value: unknown): Block[] {
  if (isEmpty(value)) return []
  if (Array.isArray(value)) return [listBlock(title, value)]
  if (!isObject(value)) return [{ kind: 'text', title, text: String(value) }]
  const entries = Object.entries(value)
  const facts = entries.filter(([, v]) => !isObject(v) && !Array.isArray(v) && v !== null).map(([k, v]) => ({ label: label(k), value: valueOf(k, v) }))
  const deeper = entries.filter(([, v]) => isObject(v) || Array.isArray(v)).flatMap(([k, v]) => blocksOf(title ? `${title}: ${label(k)}` : label(k), v))
  return facts.length > 0 ? [{ kind: 'facts', title, facts }, ...deeper] : deeper
}

function listBlock(title: string, list: unknown[]): Block {
  if (list.every(isLogLine)) return { kind: 'log', title, lines: list.map((l) => ({ ...l, timestamp: l.timestamp ?? null })) }
  if (!list.every(isObject)) return { kind: 'text', title, text: list.map((v) => (typeof v === 'string' ? v : JSON.stringify(v))).join('\n') }
  const keys = [...new Set(list.flatMap((row) => Object.keys(row)))]
  return { kind: 'table', title, columns: keys.map(label), rows: list.map((row) => keys.map((k) => valueOf(k, row[k]))) }
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === '') return true
  return typeof value === 'object' && Object.keys(value).length === 0
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isLogLine(value: unknown): value is LogLine {
  return isObject(value) && typeof value.message === 'string' && typeof value.level === 'string'
}

const UNITS = /_(seconds|bytes)$/

/** "size_bytes" is "Size"; names of others, as systemd's "ActiveState" or an address, stay as they are. */
function label(key: string): string {
  return /^[a-z][a-z0-9_]*$/.test(key) ? capital(key.replace(UNITS, '').replaceAll('_', ' ')) : key
}

// Lengths of time that Go writes in nanoseconds.
const NANOSECONDS = new Set([
  'Latency', 'Took', 'Uptime', 'CPU', 'LoadETA', 'RestartDelay', 'TimeoutStart', 'TimeoutStop', 'StartLimitInterval', 'Watchdog', 'CPUTime',
])
const BYTES = new Set(['UsedMemory', 'MaxMemory', 'HostMemory', 'MemoryBytes'])
const ENDLESS_NS = 9e18

function valueOf(key: string, value: unknown): Value {
  if (typeof value === 'number') return numberWords(key, value)
  if (value === null || value === undefined || value === '') return '–'
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value !== 'string') return JSON.stringify(value)
  if (value.startsWith('0001-01-01T')) return 'never'
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(value) ? (parseTime(value) ?? value) : value
}

function numberWords(key: string, n: number): string {
  if (NANOSECONDS.has(key)) return n >= ENDLESS_NS ? 'no limit' : timeWords(n / 1e9)
  if (key.endsWith('_seconds')) return timeWords(n)
  if (key.endsWith('_hours')) return duration(n * 3_600_000)
  return key.endsWith('_bytes') || BYTES.has(key) ? byteWords(n) : String(Number(n.toFixed(3)))
}

function timeWords(s: number): string {
  return s > 0 && s < 0.1 ? `${Number((s * 1000).toPrecision(2))} ms` : seconds(s)
}

/** "3.2 GiB"; what is exact is in the file. */
function byteWords(n: number): string {
  const unit = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const at = n < 1024 ? 0 : Math.min(unit.length - 1, Math.floor(Math.log2(n) / 10))
  return `${Number((n / 1024 ** at).toFixed(1))} ${unit[at]}`
}
