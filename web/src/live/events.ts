// What one live message changes. Pure.

import type { Health, Incident, LiveEvent, Recovery, ServiceState, ServiceStatus } from '@/api/schema'

export type Order = 'apply' | 'old' | 'gap'

/** Where a message stands in the sequence. `last` is 0 before the first. A snapshot replaces whatever was before it. */
export function orderOf(last: number, { seq, snapshot }: Pick<LiveEvent, 'seq' | 'snapshot'>): Order {
  if (snapshot || !seq || last === 0) return 'apply'
  if (seq <= last) return 'old'
  return seq === last + 1 ? 'apply' : 'gap'
}

export function isLiveEvent(x: unknown): x is LiveEvent {
  return typeof x === 'object' && x !== null && typeof (x as LiveEvent).type === 'string'
}

export function isHealth(x: unknown): x is Health {
  return typeof x === 'object' && x !== null && typeof (x as Health).overall_status === 'string'
}

const STATES: readonly string[] = ['running', 'stopped', 'failed', 'unknown']

/** The status after a service_status message. Figures that belong to a live process do not outlive it. */
export function withStatus(previous: ServiceStatus | null, event: LiveEvent): ServiceStatus | null {
  if (!event.status || !STATES.includes(event.status)) return previous
  const status = event.status as ServiceState
  const running = status === 'running'
  return {
    vm_info: previous?.vm_info ?? { host: '', name: '', ssh_accessible: true },
    uptime_seconds: running ? (previous?.uptime_seconds ?? null) : null,
    commands_processed: running ? previous?.commands_processed : null,
    pid: event.details?.pid ?? null,
    connections: event.details?.connections ?? null,
    memory_mb: event.details?.memory_mb ?? null,
    status,
    last_check: event.snapshot ? (previous?.last_check ?? null) : event.timestamp,
  }
}

const CLOSED: readonly string[] = ['recovered', 'self_healed', 'not_confirmed']

export function isOpen(incident: Incident): boolean {
  return !CLOSED.includes(incident.status)
}

/** The recovery state after an incident arrived with a message. */
export function withIncident(previous: Recovery | null, incident: Incident): Recovery | null {
  if (!previous) return null
  return { ...previous, incident: isOpen(incident) ? incident : null }
}

/** Messages after which the figures on the page may be wrong, so that they are fetched again. */
export function needsRefetch(event: LiveEvent): boolean {
  return !event.snapshot && event.type !== 'service_status' && event.type !== 'health'
}
