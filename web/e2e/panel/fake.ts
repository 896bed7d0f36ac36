import { test as base, type Page, type Route, type WebSocketRoute } from '@playwright/test'

import type {
  AuditRecord, Health, Incident, LiveEvent, LogLine, LogMessage, Operation, Providers, Recovery, ServiceRecord, ServiceStatus, Session,
} from '../../src/api/schema'
import * as data from './data'

type Answer = { status: number; body: unknown; headers?: Record<string, string> }
type Mode = 'up' | 'unreachable' | 'frozen' | 'proxy-error'

/** Plays the control API inside the browser. What it answers is what its fields hold at that moment. */
export class FakeBackend {
  session: Session | null = data.session('admin')
  providers: Providers = { password: true, oidc: null }
  services: ServiceRecord[] = [data.record()]
  status: ServiceStatus = data.running()
  health: Health = data.healthy()
  recovery: Recovery = data.quiet()
  incidents: Incident[] = []
  logs: LogLine[] = data.logLines()
  audit: AuditRecord[] = data.auditRecords()
  /** Measurements keep their time instead of being made at the moment of asking. */
  stale = false
  mode: Mode = 'up'
  /** The socket answers the browser's dial. */
  sockets = true
  /** Overrides for single routes: "GET /api/audit" → an answer. */
  answers = new Map<string, Answer>()
  /** Every changing request that arrived. */
  requests: { method: string; path: string; body: unknown; headers: Record<string, string> }[] = []
  /** Held acts: resolve them to let them end. */
  onAct: (operation: Operation) => Promise<Answer> | Answer = (operation) => ({ status: 200, body: data.done(operation) })
  seq = 100
  /** What each connection to the log asked for. */
  followed: URLSearchParams[] = []
  /** Connections to the log are refused, and reading it is answered with this. */
  refuseLog: Answer | null = null
  private open: WebSocketRoute[] = []
  private readers: WebSocketRoute[] = []

  async install(page: Page): Promise<void> {
    await page.route('**/api/**', (route) => this.answer(route))
    await page.routeWebSocket('**/ws/services/redis/logs*', (ws) => {
      if (this.mode !== 'up' || !this.sockets || !this.session || this.refuseLog) return void ws.close({ code: 1006 })
      const asked = new URL(ws.url()).searchParams
      this.followed.push(asked)
      this.readers.push(ws)
      ws.onClose(() => (this.readers = this.readers.filter((o) => o !== ws)))
      const since = Date.parse(asked.get('since') ?? '') || 0
      const lines = this.logs.filter((l) => Date.parse(l.timestamp ?? '') >= since).slice(-Number(asked.get('lines')))
      ws.send(JSON.stringify({ type: 'log', service: 'redis', lines, error: null, snapshot: true }))
    })
    await page.routeWebSocket('**/ws/services/nosuch/*', (ws) => void ws.close({ code: 1006 }))
    await page.routeWebSocket('**/ws/services/redis/status*', (ws) => {
      if (this.mode !== 'up' || !this.sockets || !this.session) return void ws.close()
      this.open.push(ws)
      ws.onClose(() => (this.open = this.open.filter((o) => o !== ws)))
      ws.send(JSON.stringify({ ...this.statusEvent(), snapshot: true }))
      ws.send(JSON.stringify({ seq: 0, snapshot: true, type: 'health', service: 'redis', timestamp: new Date().toISOString(), health: this.health }))
    })
  }

  statusEvent(): LiveEvent {
    const { status, pid, connections, memory_mb, last_check } = this.measured()
    return { seq: this.seq, type: 'service_status', service: 'redis', timestamp: last_check ?? '', status, details: { pid, connections, memory_mb } }
  }

  /** Sends one live message to every open socket. */
  push(event: Partial<LiveEvent>): void {
    this.seq++
    const full = { seq: this.seq, service: 'redis', timestamp: new Date().toISOString(), type: 'incident', ...event }
    for (const ws of this.open) ws.send(JSON.stringify(full))
  }

  /** Writes lines to the log, and sends them to those who follow it. */
  write(...messages: string[]): void {
    const lines = messages.map((message) => ({ timestamp: new Date().toISOString(), level: 'info' as const, message, source: 'redis' as const }))
    this.logs = [...this.logs, ...lines]
    this.tellReaders({ lines })
  }

  tellReaders(message: Partial<LogMessage>): void {
    for (const ws of this.readers) ws.send(JSON.stringify({ type: 'log', service: 'redis', lines: [], error: null, ...message }))
  }

  /** Ends every connection to the log; it may be followed again, unless `refuse` is the answer from now on. */
  async closeReaders(code: number, refuse: Answer | null = null): Promise<void> {
    this.refuseLog = refuse
    await Promise.all(this.readers.map((ws) => ws.close({ code })))
    this.readers = []
  }

  pushStatus(): void {
    this.push(this.statusEvent())
    this.push({ type: 'health', health: this.health })
  }

  /** The API goes away: sockets close, and nothing answers. */
  async goAway(mode: Mode = 'unreachable'): Promise<void> {
    this.mode = mode
    if (mode === 'frozen') return
    await Promise.all([...this.open, ...this.readers].map((ws) => ws.close({ code: 1006 }).catch(() => undefined)))
    this.open = this.readers = []
  }

  async closeSockets(): Promise<void> {
    await Promise.all(this.open.map((ws) => ws.close()))
    this.open = []
  }

  private measured(): ServiceStatus {
    return this.stale ? this.status : { ...this.status, last_check: new Date().toISOString() }
  }

  private async answer(route: Route): Promise<void> {
    if (this.mode === 'unreachable') return route.abort('connectionrefused')
    if (this.mode === 'frozen') return
    if (this.mode === 'proxy-error') return route.fulfill({ status: 503, contentType: 'text/html', body: '<h1>Bad gateway</h1>' })
    const request = route.request()
    const url = new URL(request.url())
    const method = request.method()
    if (method !== 'GET') {
      this.requests.push({ method, path: url.pathname, body: request.postDataJSON(), headers: request.headers() })
    }
    const { status, body, headers } = await this.decide(method, url.pathname, url.searchParams)
    await route.fulfill({
      status,
      headers: { 'Content-Type': 'application/json', Date: new Date().toUTCString(), ...headers },
      body: JSON.stringify(body),
    })
  }

  private async decide(method: string, path: string, params: URLSearchParams): Promise<Answer> {
    const override = this.answers.get(`${method} ${path}`)
    if (override) return override
    const service = /^\/api\/services\/redis\/(.*)$/.exec(path)?.[1]
    if (path === '/api/auth/providers') return ok(this.providers)
    if (path === '/api/auth/login') return this.login()
    if (service === 'status') return ok(this.measured())
    if (service === 'health') return ok(this.health)
    if (!this.session) return { status: 401, body: { detail: 'Not authenticated', error: 'unauthorized' } }
    if (path === '/api/auth/me') return ok(this.session)
    if (path === '/api/auth/logout') return this.logout()
    if (path === '/api/services') return ok({ records: this.services, next_cursor: null })
    if (service === 'auto-recovery') return ok(params.has('explain') ? { ...this.recovery, explanation: data.explanation() } : this.recovery)
    if (service === 'auto-recovery/reset') return ok({ ...this.recovery, manual_intervention: false })
    if (service === 'incidents') return ok({ records: this.incidents, next_cursor: null })
    if (service === 'logs' && this.refuseLog) return this.refuseLog
    if (service === 'logs') return ok({ logs: this.logs.slice(-Number(params.get('lines'))), total_lines: this.logs.length, service: 'redis-server', vm: '10.77.0.2' })
    if (service === 'start' || service === 'stop' || service === 'restart') return this.onAct(service)
    if (path === '/api/incidents/inc-51c0/evidence') return ok(data.evidence())
    if (path === '/api/audit') return ok({ records: this.audit, next_cursor: null })
    return { status: 404, body: { detail: 'Not found', error: 'not_found' } }
  }

  private login(): Answer {
    this.session ??= data.session('admin')
    return ok(this.session)
  }

  private logout(): Answer {
    this.session = null
    return ok(null)
  }
}

function ok(body: unknown): Answer {
  return { status: 200, body }
}

/** A page whose control API is a FakeBackend, and which fails on anything that the content security policy refuses. */
export const test = base.extend<{ backend: FakeBackend }>({
  backend: [
    async ({ page }, use) => {
      const backend = new FakeBackend()
      const refused: string[] = []
      page.on('console', (m) => { if (/Content Security Policy/i.test(m.text())) refused.push(m.text()) })
      page.on('pageerror', (e) => refused.push(String(e)))
      await backend.install(page)
      await use(backend)
      base.expect(refused).toEqual([])
    },
    { auto: true },
  ],
})

export { expect } from '@playwright/test'
