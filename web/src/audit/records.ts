// Audit records as rows. Pure.

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
