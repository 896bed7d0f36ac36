// The wire format of the control API, as the panel reads it. Times are RFC 3339 in UTC. A field that the server may leave out
// is optional; a field that is always there but may have no value is `| null`.

export type ServiceState = 'running' | 'stopped' | 'failed' | 'unknown'
export type OverallStatus = 'healthy' | 'degraded' | 'critical' | 'unknown'
export type CheckStatus = 'pass' | 'warning' | 'fail' | 'unknown'
export type Operation = 'start' | 'stop' | 'restart'

export interface Page<T> {
  records: T[]
  next_cursor: string | number | null
}

export interface VmInfo {
  host: string
  name: string
  ssh_accessible: boolean
}

export interface ServiceStatus {
  status: ServiceState
  pid: number | null
  uptime_seconds: number | null
  memory_mb: number | null
  connections: number | null
  /** Only of a running service. */
  commands_processed?: number | null
  /** Null: nothing has been checked yet. */
  last_check: string | null
  vm_info: VmInfo
  check_interval_seconds?: number
}

export interface ServiceRecord {
  id: string
  name: string
  unit?: string
  host?: string
  port?: number
  status?: ServiceState
  overall_status?: OverallStatus
  auto_recovery_enabled?: boolean
  requires_manual_intervention?: boolean
  degraded?: boolean
  last_check?: string | null
  affected_services?: string[] | null
  environment?: string
  runbook_url?: string
  dashboard_url?: string
}

export interface HealthMetrics {
  memory_usage_mb?: number | null
  memory_limit_mb?: number | null
  cpu_usage_percent?: number | null
  connections?: number | null
  max_connections?: number | null
}

export interface HealthCheck {
  status: CheckStatus
  duration_ms: number | null
  message: string
  error?: string
  details?: string
  metrics?: HealthMetrics
}

export interface Reason {
  code: string
  status: OverallStatus
  text: string
  advice?: string
  evidence?: Record<string, string> | null
  hidden?: boolean
}

export interface HealthAutoRecovery {
  enabled: boolean
  recent_recoveries: number
  last_recovery: string | null
  recovery_status?: string
  requires_manual_intervention?: boolean
}

export interface Health {
  overall_status: OverallStatus
  service_running: boolean
  connectivity: boolean
  response_time_ms: number | null
  last_successful_command: string | null
  error_count_last_hour: number
  health_checks: Record<string, HealthCheck>
  recommendations: string[]
  auto_recovery?: HealthAutoRecovery
  reasons?: Reason[]
}

export interface Hold {
  code: string
  text: string
  by: string
  since: string | null
  until: string | null
}

export interface Breaker {
  phase: 'closed' | 'open' | 'half-open'
  failures: number
  opened_at: string | null
}

export interface Busy {
  by: string
  operation: string
  since: string
}

export type IncidentStatus =
  | 'observing'
  | 'recovering'
  | 'waiting'
  | 'watching'
  | 'recovered'
  | 'self_healed'
  | 'not_confirmed'
  | 'manual'

export interface Step {
  at: string
  kind: string
  level?: string
  act?: string
  result?: string
  code?: string
  text: string
  evidence?: Record<string, string>
  duration_seconds?: number
}

export interface Incident {
  id: string
  service: string
  alert: string
  fingerprint: string
  status: IncidentStatus
  cause: string
  cause_text: string
  alert_starts_at?: string
  opened_at: string
  recovered_at?: string
  closed_at?: string
  attempts: number
  level?: string
  steps: Step[]
}

export interface Recovery {
  service: string
  enabled: boolean
  desired: { running: boolean; by: string; since: string | null; reason: string }
  holds: Hold[]
  breaker: Breaker
  manual_intervention: boolean
  manual_reason: string
  recent_recoveries: number
  last_recovery: string | null
  recovery_status: string
  busy: Busy | null
  incident: Incident | null
  degraded_since: string | null
}

export interface OperationResult {
  success: boolean
  operation: string
  message: string
  error?: string
  duration_seconds: number
  timestamp: string
  new_status: ServiceState
  warning?: string
  previous_uptime_seconds?: number | null
  connections_terminated?: number | null
  outcome_unknown?: boolean
}

export interface LogLine {
  /** Null: the line carries none. */
  timestamp: string | null
  level: string
  message: string
  source?: string
}

export interface Logs {
  logs: LogLine[]
  total_lines: number
  service: string
  vm: string
}

export interface AuditRecord {
  timestamp: string
  event_type: string
  service: string
  operation: string
  user: { id: string; email: string; role: string; auth_method?: string }
  source_ip: string
  result: { success: boolean; duration_seconds: number; exit_code: number | null; http_status?: number; error?: string }
  security?: { command_validated: boolean; risk_level: string; ssh_key_used: boolean }
  phase: 'intent' | 'outcome' | 'denied' | 'system'
  request_id?: string
  incident?: string
  recovery_level?: string
  reason?: string
  details?: Record<string, string>
  seq: number
}

export interface User {
  id: string
  email: string
  role: string
}

export interface Session {
  user: User
  permissions: string[]
  required_roles?: Record<string, string[]>
  /** Null: never. */
  expires_at?: string | null
  auth_method?: string
}

export interface Problem {
  detail?: string
  error?: string
  message?: string
  title?: string
  code?: string
  timestamp?: string
  request_id?: string
  affected_services?: string[]
  confirmation_required?: boolean
  confirmation_token?: string
  required_roles?: string[]
  user_role?: string
  busy?: Busy
  operation?: string
  success?: boolean
  new_status?: ServiceState
  duration_seconds?: number
  retry_after_seconds?: number
  outcome_unknown?: boolean
}

export type LiveEventType =
  | 'service_status'
  | 'service_event'
  | 'auto_recovery'
  | 'health'
  | 'degradation'
  | 'alert'
  | 'incident'

export interface LiveEvent {
  seq: number
  /** Describes the present state instead of a change. */
  snapshot?: boolean
  type: LiveEventType
  service: string
  timestamp: string
  status?: string
  details?: { pid: number | null; connections: number | null; memory_mb: number | null } | null
  event?: string
  user?: string
  result?: string
  recovery_level?: string
  message?: string
  incident?: Incident | null
  health?: unknown
  degradation?: unknown
}
