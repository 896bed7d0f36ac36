import { call, newIdempotencyKey, query } from './client'
import type {
  AuditPage, AuditQuery, Evidence, Health, IncidentPage, Logs, Operation, OperationResult, Providers, Recovery, ServicePage, ServiceStatus, Session,
} from './schema'

// An act is waited for longer than the server's own deadline for it, so that the server's verdict arrives and not our timeout.
const ACT_TIMEOUT_MS = 90_000
const SLOW_READ_MS = 15_000

const at = (service: string, rest: string) => `/api/services/${encodeURIComponent(service)}/${rest}`

const mutate = <T>(method: string, path: string, body: unknown, key = newIdempotencyKey(), timeoutMs = 15_000) =>
  call<T>(method, path, { body, timeoutMs, idempotencyKey: key })

const stream = (service: string, name: 'status' | 'logs', params: Record<string, string | number | undefined>) =>
  `/ws/services/${encodeURIComponent(service)}/${name}${query(params)}`

/** Which audit records are wanted. An empty value is none, as the fields of a form have it. */
export type AuditFilter = { [K in keyof AuditQuery]: AuditQuery[K] | '' }

/** Every call that the panel makes to the control API. All of them throw ApiError. */
export const RedisServiceAPI = {
  signIn: (email: string, password: string) =>
    mutate<Session>('POST', '/api/auth/login', { email, password }),
  signOut: () => mutate<null>('POST', '/api/auth/logout', {}),
  providers: () => call<Providers>('GET', '/api/auth/providers'),
  /** Where a browser goes to sign in elsewhere; it comes back to `next`, a path of the panel. */
  elsewhereAddress: (loginUrl: string, next: string) => loginUrl + query({ next }),
  me: () => call<Session>('GET', '/api/auth/me'),

  services: () => call<ServicePage>('GET', '/api/services'),
  status: (service: string) => call<ServiceStatus>('GET', at(service, 'status')),
  health: (service: string) => call<Health>('GET', at(service, 'health')),

  operate: (service: string, operation: Operation, key: string, confirmationToken?: string) =>
    mutate<OperationResult>(
      'POST', at(service, operation),
      operation !== 'stop' ? {} : { confirmation: true, ...(confirmationToken ? { confirmation_token: confirmationToken } : {}) },
      key, ACT_TIMEOUT_MS,
    ),

  recovery: (service: string) => call<Recovery>('GET', at(service, 'auto-recovery')),
  /** Looks at the service twice; nothing is done to it. */
  explain: (service: string) => call<Recovery>('GET', at(service, 'auto-recovery?explain=true'), { timeoutMs: SLOW_READ_MS * 2 }),
  setAutoRecovery: (service: string, enabled: boolean, reason: string) =>
    mutate<Recovery>('PUT', at(service, 'auto-recovery'), { enabled, reason }),
  resetAutoRecovery: (service: string, reason: string) =>
    mutate<Recovery>('POST', at(service, 'auto-recovery/reset'), { reason }),
  startMaintenance: (service: string, until: string, reason: string) =>
    mutate<unknown>('POST', at(service, 'maintenance'), { until, reason }),
  endMaintenance: (service: string) => mutate<unknown>('DELETE', at(service, 'maintenance'), undefined),

  incidents: (service: string, cursor?: string) =>
    call<IncidentPage>('GET', at(service, `incidents${query({ limit: 20, cursor })}`), { timeoutMs: SLOW_READ_MS }),
  evidence: (incident: string) => call<Evidence>('GET', `/api/incidents/${encodeURIComponent(incident)}/evidence`, { timeoutMs: SLOW_READ_MS }),
  /** The address of an incident with all its evidence, as a file. */
  evidenceAddress: (incident: string) => `/api/incidents/${encodeURIComponent(incident)}/evidence`,
  logs: (service: string, lines: number, level?: string) =>
    call<Logs>('GET', at(service, `logs${query({ lines, level })}`), { timeoutMs: SLOW_READ_MS }),
  /** The address of the stream of live events; `after` is the number of the last one that was seen, 0 before the first. */
  eventsAddress: (service: string, after: number) => stream(service, 'status', { after: after || undefined }),
  /** The address of the log as it is written: so many earlier lines first, or those since a time. */
  logAddress: (service: string, lines: number, level?: string, since?: string) => stream(service, 'logs', { lines, level, since }),
  /** The address of all records that match, as a CSV file. */
  auditExportAddress: (filter: AuditFilter) => `/api/audit/export${query({ format: 'csv', ...filter })}`,
  audit: (filter: AuditFilter) =>
    call<AuditPage>('GET', `/api/audit${query({ ...filter })}`, { timeoutMs: SLOW_READ_MS }),
}
