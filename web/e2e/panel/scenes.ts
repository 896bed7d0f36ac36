import type { Page } from '@playwright/test'

import * as data from './data'
import type { FakeBackend } from './fake'

export interface Scene {
  name: string
  path: string
  backend?: (b: FakeBackend) => void
  /** Brings the page into the state that is to be looked at. */
  reach?: (page: Page, b: FakeBackend) => Promise<void>
}

const down = (b: FakeBackend) => Object.assign(b, { status: data.failed(), health: data.critical(), recovery: data.recovering(), incidents: [data.closedIncident()] })
const history = (b: FakeBackend) => (b.incidents = [data.closedIncident()])
const button = (page: Page, name: RegExp) => page.getByRole('button', { name })

/** Every screen in every state that looks different. The accessibility test and the pictures go through all of them. */
export const SCENES: Scene[] = [
  { name: 'signin', path: '/signin', backend: (b) => (b.session = null) },
  {
    name: 'signin-elsewhere',
    path: '/signin?error=oidc_no_role',
    backend: (b) => Object.assign(b, { session: null, providers: { password: true, oidc: { name: 'Example ID', login_url: '/api/auth/oidc/login' } } }),
    reach: async (page) => page.getByRole('link', { name: /Example ID/ }).waitFor(),
  },
  {
    name: 'signin-refused',
    path: '/signin',
    backend: (b) => {
      b.session = null
      b.answers.set('POST /api/auth/login', { status: 401, body: { detail: 'Invalid credentials' } })
    },
    reach: async (page) => {
      await page.getByLabel('E-mail').fill('ann@example.org')
      await page.getByLabel('Password').fill('wrong')
      await button(page, /Sign in/).click()
      await page.getByText('E-mail or password is wrong.').waitFor()
    },
  },
  {
    name: 'services',
    path: '/',
    backend: (b) =>
      (b.services = [
        data.record(),
        { ...data.record(), id: 'sessions', name: 'sessions', status: 'failed', overall_status: 'critical', last_check: data.ago(2), host: '10.77.0.3' },
        { ...data.record(), id: 'cache', name: 'cache', status: 'running', overall_status: 'degraded', last_check: data.ago(2), host: '10.77.0.4' },
        { ...data.record(), id: 'queue', name: 'queue', status: 'running', overall_status: 'healthy', last_check: data.ago(300), host: '10.77.0.5' },
      ]),
  },
  { name: 'now-healthy', path: '/services/redis', backend: history },
  {
    name: 'now-production',
    path: '/services/redis',
    backend: (b) => {
      b.services = [{ ...data.record(), environment: 'production', runbook_url: 'https://wiki.example/redis', dashboard_url: 'https://graphs.example/d/1' }]
      Object.assign(b, { status: data.failed(), health: data.critical(), recovery: data.recovering() })
    },
  },
  { name: 'now-degraded', path: '/services/redis', backend: (b) => (b.health = data.degraded()) },
  { name: 'now-recovering', path: '/services/redis', backend: down },
  {
    name: 'now-latched',
    path: '/services/redis',
    backend: (b) => Object.assign(b, { status: data.failed(), health: data.critical(), recovery: data.latched() }),
  },
  { name: 'now-operator', path: '/services/redis', backend: (b) => (b.session = data.session('operator')) },
  {
    name: 'now-restart-dialog',
    path: '/services/redis',
    reach: async (page) => {
      await button(page, /^Restart/).click()
      await page.getByRole('alertdialog').waitFor()
    },
  },
  {
    name: 'now-stop-dialog',
    path: '/services/redis',
    reach: async (page) => {
      await button(page, /^Stop/).click()
      await page.getByRole('alertdialog').waitFor()
    },
  },
  {
    name: 'now-restarting',
    path: '/services/redis',
    backend: (b) => (b.onAct = () => new Promise(() => undefined)),
    reach: async (page) => {
      await button(page, /^Restart/).click()
      await page.getByRole('alertdialog').getByRole('button', { name: 'Restart' }).click()
      await button(page, /^Restarting/).waitFor()
    },
  },
  {
    name: 'now-restarted',
    path: '/services/redis',
    reach: async (page) => {
      await button(page, /^Restart/).click()
      await page.getByRole('alertdialog').getByRole('button', { name: 'Restart' }).click()
      await button(page, /^Dismiss/).waitFor()
    },
  },
  {
    name: 'now-api-away',
    path: '/services/redis',
    reach: async (page, b) => {
      await b.goAway()
      await page.getByText(/^Control API unreachable/).waitFor({ timeout: 10_000 })
    },
  },
  {
    name: 'now-session-ended',
    path: '/services/redis',
    reach: async (page, b) => {
      b.session = null
      await b.closeSockets()
      await page.getByRole('dialog').waitFor({ timeout: 10_000 })
    },
  },
  { name: 'recovery-live', path: '/services/redis/recovery', backend: down },
  {
    name: 'recovery-latched',
    path: '/services/redis/recovery',
    backend: (b) => Object.assign(b, { status: data.failed(), health: data.critical(), recovery: data.latched() }),
  },
  {
    name: 'recovery-explained',
    path: '/services/redis/recovery',
    backend: (b) => Object.assign(b, { status: data.failed(), health: data.critical() }),
    reach: async (page) => {
      await button(page, /^Look now/).click()
      await page.getByText('It would act').scrollIntoViewIfNeeded()
    },
  },
  { name: 'recovery-quiet', path: '/services/redis/recovery', backend: history },
  { name: 'timeline', path: '/services/redis/timeline', backend: down },
  { name: 'logs', path: '/services/redis/logs' },
  {
    name: 'logs-following',
    path: '/services/redis/logs',
    reach: async (page, b) => {
      await page.getByText('8 lines').waitFor()
      await page.getByRole('switch', { name: 'Follow' }).click()
      await page.getByText(/^Following/).first().waitFor()
      b.write(...Array.from({ length: 60 }, (_, i) => `entry ${i}`))
      b.tellReaders({ lines: [{ timestamp: data.ago(0), level: 'warning', message: 'much later', source: 'redis' }], gap: true })
      await page.getByText('much later').waitFor()
      await button(page, /^Pause/).click()
      b.write('one more', 'and another')
      await page.getByText('Paused – 2 new').waitFor()
    },
  },
  {
    name: 'logs-ended',
    path: '/services/redis/logs',
    reach: async (page, b) => {
      await page.getByText('8 lines').waitFor()
      await page.getByRole('switch', { name: 'Follow' }).click()
      await page.getByText(/^Following/).first().waitFor()
      await b.closeReaders(4403, { status: 404, body: { detail: 'There is no service redis' } })
      await page.getByText(/^Following has ended/).waitFor()
    },
  },
  {
    name: 'evidence',
    path: '/services/redis/incidents/inc-51c0',
    reach: async (page) => page.getByText('connection refused').waitFor(),
  },
  { name: 'audit', path: '/services/redis/audit' },
  {
    name: 'audit-missing',
    path: '/services/redis/audit',
    backend: (b) => b.answers.set('GET /api/audit', { status: 404, body: { detail: 'Not found' } }),
  },
  { name: 'no-service', path: '/services/nosuch', reach: async (page) => page.getByText(/^This server has no service/).waitFor() },
  { name: 'nowhere', path: '/nowhere' },
]

/** Opens a scene and waits until it shows what the server said. */
export async function enter(page: Page, backend: FakeBackend, scene: Scene): Promise<void> {
  scene.backend?.(backend)
  await page.goto(scene.path)
  await page.getByRole('heading', { level: 1 }).filter({ hasNotText: 'Connecting' }).waitFor()
  if (scene.path.startsWith('/services/redis')) await page.getByText('Live', { exact: true }).waitFor()
  await scene.reach?.(page, backend)
}
