// Audit records as rows, and as CSV. Pure.

import type { AuditRecord } from '@/api/schema'
import type { Level } from '@/status/status'

export function whoOf(r: AuditRecord): string {
  return r.user.email || r.user.id || 'nobody'
}

/** What came of it, as shape and word. */
export function resultLook(r: AuditRecord): { level: Level; word: string } {
  if (r.phase === 'denied') return { level: 'degraded', word: 'Denied' }
  if (r.phase === 'intent') return { level: 'recovering', word: 'Begun' }
  if (r.phase === 'system') return { level: 'unknown', word: 'Noted' }
  return r.result.success ? { level: 'healthy', word: 'Succeeded' } : { level: 'down', word: 'Failed' }
}

/** The words beside the result: the error, the reason that was given, the incident it belongs to. */
export function noteOf(r: AuditRecord): string {
  const status = r.result.http_status && r.phase === 'denied' ? `HTTP ${r.result.http_status}` : ''
  const incident = r.incident ? `incident ${r.incident}` : ''
  return [status, r.result.error ?? '', r.reason ?? '', r.recovery_level ?? '', incident].filter(Boolean).join(' · ')
}

const COLUMNS: [string, (r: AuditRecord) => string][] = [
  ['timestamp', (r) => r.timestamp],
  ['seq', (r) => String(r.seq)],
  ['event_type', (r) => r.event_type],
  ['service', (r) => r.service],
  ['operation', (r) => r.operation],
  ['phase', (r) => r.phase],
  ['user', whoOf],
  ['role', (r) => r.user.role],
  ['source_ip', (r) => r.source_ip],
  ['success', (r) => String(r.result.success)],
  ['duration_seconds', (r) => String(r.result.duration_seconds)],
  ['error', (r) => r.result.error ?? ''],
  ['reason', (r) => r.reason ?? ''],
  ['request_id', (r) => r.request_id ?? ''],
  ['incident', (r) => r.incident ?? ''],
]

export function asCsv(records: readonly AuditRecord[]): string {
  const rows = records.map((r) => COLUMNS.map(([, of]) => cell(of(r))).join(','))
  return [COLUMNS.map(([name]) => name).join(','), ...rows].join('\r\n') + '\r\n'
}

/** A leading = + - @ would make a spreadsheet run the cell as a formula. */
function cell(value: string): string {
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
