import type {
  AuditRecord, Evidence, Explanation, Health, Incident, LogLine, Operation, OperationResult, Permission, Recovery, ServiceRecord, ServiceStatus, Session,
} from '../../src/api/schema'

export const ago = (seconds: number): string => new Date(Date.now() - seconds * 1000).toISOString()

const PERMISSIONS: Record<'admin' | 'operator' | 'viewer', Permission[]> = {
  admin: ['start', 'stop', 'restart', 'status', 'health', 'logs', 'reload', 'auto_recovery', 'maintenance', 'incidents', 'audit', 'configure', 'live'],
  operator: ['start', 'restart', 'status', 'health', 'reload', 'auto_recovery', 'maintenance', 'incidents', 'live'],
  viewer: ['status', 'health', 'auto_recovery', 'incidents', 'live'],
}

export function session(role: keyof typeof PERMISSIONS): Session {
  return {
    user: { id: `user-${role}`, email: `${role}@example.org`, role },
    permissions: PERMISSIONS[role],
    required_roles: { stop: ['admin'], start: ['admin', 'operator'], restart: ['admin', 'operator'], logs: ['admin'], audit: ['admin'] },
    expires_at: null, auth_method: 'session',
  }
}

export function record(): ServiceRecord {
  return {
    id: 'redis', name: 'redis-01', unit: 'redis-server.service', host: '10.77.0.2', port: 6379,
    status: 'running', overall_status: 'healthy', auto_recovery_enabled: true, requires_manual_intervention: false, degraded: false,
    last_check: ago(1), affected_services: ['backend', 'knowledge_base', 'cache'],
    check_interval_seconds: 5, environment: null, runbook_url: null, dashboard_url: null,
  }
}

const vm = { host: '10.77.0.2', name: 'Redis VM', ssh_accessible: true }

export function running(): ServiceStatus {
  return {
    status: 'running', pid: 12345, uptime_seconds: 93_784, memory_mb: 128.5, connections: 42, commands_processed: 1_000_000,
    last_check: ago(0), vm_info: vm,
  }
}

export function failed(): ServiceStatus {
  return {
    status: 'failed', pid: null, uptime_seconds: null, memory_mb: null, connections: null, commands_processed: null,
    last_check: ago(0), vm_info: vm,
  }
}

export function healthy(): Health {
  return {
    overall_status: 'healthy', service_running: true, connectivity: true, response_time_ms: 2.5, last_successful_command: ago(1),
    error_count_last_hour: 0,
    health_checks: {
      connectivity: { status: 'pass', duration_ms: 2.5, message: 'PING successful' },
      systemd: { status: 'pass', duration_ms: 50, message: 'Service active and running' },
      performance: {
        status: 'pass', duration_ms: 15, message: 'All metrics within normal ranges',
        metrics: { memory_usage_mb: 128.5, memory_limit_mb: 4096, cpu_usage_percent: 5.2, connections: 42, max_connections: 10_000 },
      },
      connection_pool: { status: 'pass', duration_ms: 0.4, message: '2 connections, none stale' },
    },
    recommendations: [],
    auto_recovery: { enabled: true, recent_recoveries: 0, last_recovery: null },
  }
}

type Reason = NonNullable<Health['reasons']>[number]

export function reason(code: string, status: Reason['status'], text: string): Reason {
  return { code, status, text, advice: '', evidence: null, hidden: false }
}

export function degraded(): Health {
  return {
    ...healthy(), overall_status: 'degraded', response_time_ms: 150.5, error_count_last_hour: 5,
    health_checks: {
      connectivity: { status: 'pass', duration_ms: 150.5, message: 'PING successful but slow' },
      systemd: { status: 'pass', duration_ms: 50, message: 'Service active and running' },
      performance: {
        status: 'warning', duration_ms: 15, message: 'High memory usage detected',
        metrics: { memory_usage_mb: 3500, memory_limit_mb: 4096, cpu_usage_percent: 45, connections: 8500, max_connections: 10_000 },
      },
    },
    recommendations: ['Consider increasing memory limit', 'Monitor connection usage', 'Review slow queries'],
    reasons: [reason('memory_warning', 'degraded', 'Redis uses 3500 MB; the warning threshold is 3072 MB.')],
  }
}

export function critical(): Health {
  return {
    overall_status: 'critical', service_running: false, connectivity: false, response_time_ms: null,
    last_successful_command: ago(94), error_count_last_hour: 20,
    health_checks: {
      connectivity: { status: 'fail', duration_ms: 1.2, message: 'PING failed 3 times', error: 'connection refused' },
      systemd: { status: 'fail', duration_ms: 50, message: 'Service failed', details: 'Exit code: 1' },
      performance: { status: 'unknown', duration_ms: 0, message: 'Cannot collect metrics - service not running' },
    },
    recommendations: ['Check service logs for errors', 'Verify system resources'],
    auto_recovery: { enabled: true, recent_recoveries: 0, last_recovery: null },
    reasons: [
      reason('unit_failed', 'critical', 'systemd: redis-server.service failed (exit code 1).'),
      reason('no_connectivity', 'critical', 'PING refused 3 times.'),
    ],
  }
}

export function quiet(): Recovery {
  return {
    service: 'redis', enabled: true, desired: { running: true, by: '', since: null, reason: '' }, holds: [],
    breaker: { phase: 'closed', failures: 0, opened_at: null }, manual_intervention: false, manual_reason: '',
    recent_recoveries: 0, last_recovery: null, recovery_status: '', busy: null, incident: null, degraded_since: null,
  }
}

export function incident(): Incident {
  return {
    id: 'inc-7f3a', service: 'redis', alert: 'RedisDown', fingerprint: 'a1b2c3', status: 'recovering', cause: 'unit_failed',
    cause_text: 'The unit failed with exit code 1.', alert_starts_at: ago(95), opened_at: ago(94), attempts: 2, level: 'hard',
    steps: [
      { at: ago(94), kind: 'opened', text: 'Alert RedisDown arrived.' },
      { at: ago(93), kind: 'observed', text: 'PING refused twice; systemd says failed.', evidence: { 'unit.active_state': 'failed', 'unit.result': 'exit-code' } },
      { at: ago(93), kind: 'skipped', level: 'soft', code: 'not_running', text: 'Soft recovery skipped: the service does not run.' },
      { at: ago(92), kind: 'intent', level: 'standard', act: 'start', text: 'Starting redis-server.service.' },
      { at: ago(90), kind: 'outcome', level: 'standard', act: 'start', result: 'failure', text: 'Start failed: exit code 1.', duration_seconds: 1.8 },
      { at: ago(12), kind: 'intent', level: 'hard', act: 'restart', text: 'Restarting redis-server.service.' },
    ],
  }
}

export function closedIncident(): Incident {
  return {
    ...incident(), id: 'inc-51c0', status: 'recovered', level: 'standard', attempts: 1, cause: 'unit_inactive', cause_text: 'The unit was stopped on the host.',
    alert_starts_at: ago(7202), opened_at: ago(7200), recovered_at: ago(7198), closed_at: ago(7188),
    steps: [
      { at: ago(7200), kind: 'opened', text: 'Alert RedisUnitInactive arrived.' },
      { at: ago(7199.8), kind: 'observed', text: 'PING refused twice; systemd says inactive.' },
      { at: ago(7199.7), kind: 'intent', level: 'standard', act: 'start', text: 'Starting redis-server.service.' },
      { at: ago(7198.2), kind: 'outcome', level: 'standard', act: 'start', result: 'success', text: 'Redis answers PONG.', duration_seconds: 1.4 },
      { at: ago(7188), kind: 'closed', result: 'success', text: 'Stayed up for 10 s.' },
    ],
  }
}

export function recovering(): Recovery {
  return { ...quiet(), incident: incident(), recovery_status: 'in_progress', degraded_since: ago(93), busy: { by: 'redis-medic', operation: 'restart', since: ago(12) } }
}

export function latched(): Recovery {
  return {
    ...quiet(), manual_intervention: true, manual_reason: '3 recoveries in 5 minutes; the last failed with exit code 1.', degraded_since: ago(300),
    holds: [{ code: 'latched', text: 'Manual intervention is required.', by: 'redis-medic', since: ago(40), until: null }],
    breaker: { phase: 'open', failures: 5, opened_at: ago(40) }, recent_recoveries: 3, last_recovery: ago(45), recovery_status: 'failed',
    incident: { ...incident(), status: 'manual', steps: [...incident().steps, { at: ago(40), kind: 'outcome', level: 'hard', act: 'restart', result: 'failure', text: 'Restart failed: exit code 1.', duration_seconds: 2.2 }] },
  }
}

export function done(operation: Operation): OperationResult {
  const status = { start: 'running', stop: 'stopped', restart: 'running' } as const
  const past = { start: 'started', stop: 'stopped', restart: 'restarted' }
  return {
    success: true, operation, message: `Redis service ${past[operation]} successfully`, duration_seconds: 1.6, timestamp: ago(0),
    new_status: status[operation], ...(operation === 'restart' ? { previous_uptime_seconds: 86_400, connections_terminated: 42 } : {}),
  }
}

export function logLines(): LogLine[] {
  const said: [number, LogLine['level'], string][] = [
    [3600, 'info', 'Redis 7.0.15 (00000000/0) 64 bit, standalone mode, port 6379'],
    [3599, 'info', 'Ready to accept connections tcp'],
    [1200, 'info', '100 changes in 300 seconds. Saving...'],
    [1199, 'info', 'Background saving started by pid 12346'],
    [1198, 'info', 'DB saved on disk'],
    [300, 'warning', 'Memory overcommit must be enabled! Without it, a background save may fail under low memory condition.'],
    [90, 'error', "Can't open the append-only file: Permission denied"],
    [30, 'info', 'Background saving terminated with success'],
  ]
  return said.map(([at, level, message]) => ({ timestamp: ago(at), level, message, source: 'redis' }))
}

export function auditRecords(): AuditRecord[] {
  const base = {
    service: 'redis', source_ip: '10.0.0.8', security: { command_validated: true, risk_level: 'moderate' as const, ssh_key_used: true },
    chain: 'c1', prev_hash: '', hash: '',
  }
  const ann = { id: 'user-ann', email: 'ann@example.org', role: 'admin', auth_method: 'session' }
  return [
    { ...base, seq: 4, timestamp: ago(80), event_type: 'auto_recovery', operation: 'restart', phase: 'outcome', user: { id: 'redis-medic', email: '', role: 'system' }, source_ip: '', result: { success: false, duration_seconds: 2.2, exit_code: 1, error: 'exit code 1' }, recovery_level: 'hard', incident: 'inc-7f3a' },
    { ...base, seq: 3, timestamp: ago(3000), event_type: 'service_operation', operation: 'stop', phase: 'denied', user: { id: 'user-bob', email: 'bob@example.org', role: 'operator' }, result: { success: false, duration_seconds: 0, exit_code: null, http_status: 403, error: 'Insufficient permissions to stop Redis service' }, request_id: 'req-9' },
    { ...base, seq: 2, timestamp: ago(3600), event_type: 'service_operation', operation: 'restart', phase: 'outcome', user: ann, result: { success: true, duration_seconds: 15.7, exit_code: 0, http_status: 200 }, request_id: 'req-8', reason: 'after the kernel update' },
    { ...base, seq: 1, timestamp: ago(3616), event_type: 'service_operation', operation: 'restart', phase: 'intent', user: ann, result: { success: true, duration_seconds: 0, exit_code: null }, request_id: 'req-8' },
  ]
}

export function explanation(): Explanation {
  return {
    at: ago(0), decision: 'act', recovery_level: 'standard', acts: ['reset-failed', 'start'], code: 'unit_failed',
    text: 'the unit has failed (exit-code)', advice: 'look at the journal of the unit', holds: [],
    skipped: [{ recovery_level: 'soft', code: 'not_running', text: 'the service does not run' }],
    seen: { ping: 'refused', unit: 'failed/failed', result: 'exit-code' },
  }
}

/** As the server has it, with a part that the panel does not know. */
export function evidence(): Evidence {
  return {
    incident: closedIncident(),
    bundle: {
      incident: 'inc-51c0', service: 'redis', taken_at: ago(7199), duration_seconds: 0.312,
      ping: { At: ago(7199), Reply: 'refused', Latency: 412_000, Connected: false, Detail: 'dial tcp 10.77.0.2:6379: connect: connection refused' },
      unit: {
        At: ago(7199), Name: 'redis-server.service', ActiveState: 'failed', SubState: 'failed', Result: 'exit-code', ExecMainStatus: 1,
        TimeoutStop: 9_223_372_036_854_776_000, RestartDelay: 100_000_000, MemoryBytes: null, ActiveEnter: ago(9000), WatchdogPing: '0001-01-01T00:00:00Z',
      },
      last_info: { Version: '7.0.15', UsedMemory: 134_742_016, Clients: 42 },
      journal: [{ timestamp: ago(7200), level: 'error', source: 'journal', message: 'redis-server.service: Failed with result \'exit-code\'.' }],
      redis_log: [{ level: 'warning', source: 'redis', message: '*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***' }],
      listeners: [{ address: '127.0.0.1', port: 22, process: 'sshd', pid: 412 }],
      disks: [{ path: '/', size_bytes: 10_737_418_240, free_bytes: 524_288_000, inodes: 655_360, inodes_free: 600_000 }],
      load: { load_1m: 0.42, memory_total_bytes: 4_294_967_296, uptime_hours: 49.5 },
      redis: {
        info: ['# Server', 'redis_version:7.0.15'],
        slow_log: [{ at: ago(7300), duration_seconds: 0.0123, command: 'KEYS', arguments: 1, client: '10.0.0.8:50000' }],
        clients: { total: 42, addresses: { '10.0.0.8': 40, '10.0.0.9': 2 }, blocked: 0, longest_idle_seconds: 75, output_buffers_bytes: 2048 },
      },
      config: ['bind 127.0.0.1 -::1', 'requirepass (redacted)'],
      changes: ['2026-01-01 02:58:11 upgrade redis-server:amd64 7.0.14 7.0.15'],
      boots: [], late: ['journal'], missing: { listeners: 'the host did not answer in time' },
      quantum_state: { spin: 'up', entangled: [{ with: 'redis-02', since: ago(1) }] },
    },
  }
}
