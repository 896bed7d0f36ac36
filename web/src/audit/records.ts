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

/** What the audit log records, in the order in which it may be chosen. Operations that are not listed keep their name. */
export const OPERATION_WORDS: Record<string, string> = {
  start: 'Start',
  stop: 'Stop',
  restart: 'Restart',
  reload: 'Reload',
  auto_recovery_set: 'Switch of automatic recovery',
  auto_recovery_enable: 'Automatic recovery switched on',
  auto_recovery_disable: 'Automatic recovery switched off',
  auto_recovery_reset: 'Automatic recovery reset',
  maintenance_start: 'Maintenance begun',
  maintenance_end: 'Maintenance ended',
  restarted_by_systemd: 'Restarted by systemd',
  webhook: 'Webhook of Alertmanager',
  logs: 'Logs read',
  'logs.follow': 'Logs followed',
  evidence: 'Evidence read',
  live: 'Live events followed',
  login: 'Signed in',
  logout: 'Signed out',
  token: 'Token given',
  ws_ticket: 'Ticket given',
  'audit.read': 'Audit read',
  'audit.export': 'Audit exported',
  'config.reload': 'Configuration read again',
}

export function operationWord(operation: string): string {
  return OPERATION_WORDS[operation] ?? operation
}
