// The sentences of the Now page: since when, why, and what is being done. Pure; the words of the server come first.

import type { Health, Incident, Recovery, ServiceStatus, Step } from '@/api/schema'
import { RUNGS, type Level } from '@/status/status'
import { sentence } from '@/text'
import { duration, moment, parseTime, seconds } from '@/time'

export const CHECK_LABELS: Record<string, string> = {
  connectivity: 'Ping',
  systemd: 'systemd',
  performance: 'Performance',
  connection_pool: 'Connection pool',
}

export function checkLabel(name: string): string {
  return CHECK_LABELS[name] ?? name
}

/** The layers in the order in which they are checked; those that are new to the panel come last. */
export function checkOrder(name: string): number {
  const at = Object.keys(CHECK_LABELS).indexOf(name)
  return at < 0 ? Object.keys(CHECK_LABELS).length : at
}

/** When the present state began; null where nobody knows. */
export function sinceOf(level: Level, status: ServiceStatus | null, health: Health | null, recovery: Recovery | null, now: number): number | null {
  if (level === 'stopped') return parseTime(recovery?.desired?.since)
  if (level === 'healthy' || level === 'degraded') {
    return status?.uptime_seconds ? now - status.uptime_seconds * 1000 : null
  }
  return parseTime(recovery?.incident?.opened_at) ?? parseTime(recovery?.degraded_since) ?? parseTime(health?.last_successful_command)
}

/** Why the service is in the state it is in. */
export function causeOf(health: Health | null): string {
  if (!health) return ''
  const reasons = (health.reasons ?? []).filter((r) => !r.hidden)
  if (reasons.length > 0) return reasons.slice(0, 2).map((r) => sentence(r.text)).join(' ')
  const entries = Object.entries(health.health_checks)
  const bad = entries.filter(([, c]) => c.status === 'fail' || c.status === 'warning')
  if (bad.length > 0) return bad.map(([name, c]) => sentence(`${checkLabel(name)}: ${c.error || c.message}`)).join(' ')
  if (health.overall_status !== 'healthy') return ''
  const answered = health.response_time_ms === null ? '' : `PING answers in ${Number(health.response_time_ms.toFixed(1))} ms. `
  return `${answered}All checks passed.`
}


/** Whether and how a machine is already on it. */
export function recoveryLine(r: Recovery | null, now: number): string {
  if (!r) return ''
  if (r.manual_intervention) return `Automatic recovery is off: ${sentence(r.manual_reason || 'manual intervention is required')} A person must turn it on.`
  if (r.incident) {
    const line = incidentLine(r.incident, now)
    if (line) return line
  }
  const hold = r.holds?.[0]
  if (hold) return `Automatic recovery is held: ${sentence(hold.text)}${holdEnd(hold.until, now)}`
  if (!r.enabled) return 'Automatic recovery is switched off.'
  const last = parseTime(r.last_recovery)
  return last === null ? 'Automatic recovery is on.' : `Automatic recovery is on. It last acted at ${moment(last, now)}.`
}

function holdEnd(until: string | null | undefined, now: number): string {
  const end = parseTime(until)
  return end === null ? '' : ` Until ${moment(end, now)}.`
}

function incidentLine(incident: Incident, now: number): string {
  const last = incident.steps.at(-1)
  if (incident.status === 'watching') return 'Automatic recovery: Redis answers again; it is watched until it has stayed up.'
  if (!last) return incident.status === 'observing' ? 'Automatic recovery is looking at it.' : ''
  const rung = RUNGS.findIndex((r) => r === last.level)
  const step = rung < 0 ? '' : `, step ${rung + 1} of ${RUNGS.length}`
  return `Automatic recovery${step}: ${sentence(`${last.text.replace(/\.$/, '')}${timing(last, now)}`)}`
}

/** How long an act has been going on, or how long it took. */
function timing(step: Step, now: number): string {
  const began = parseTime(step.at)
  if (step.kind === 'intent' && began !== null) return ` (${duration(now - began)})`
  return step.duration_seconds ? ` (${seconds(step.duration_seconds)})` : ''
}
