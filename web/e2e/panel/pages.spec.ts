import * as data from './data'
import { expect, test } from './fake'

test('a latched recovery is reset with a reason', async ({ page, backend }) => {
  Object.assign(backend, { status: data.failed(), health: data.critical(), recovery: data.latched() })
  await page.goto('/services/redis')
  await expect(page.getByText('Manual Intervention Required')).toBeVisible()
  await page.getByRole('link', { name: /turn it on again/ }).click()
  const reset = page.getByRole('region', { name: 'Turn it on again' })
  await reset.getByRole('button').click()
  await expect(reset.getByRole('alert')).toContainText('Say why')
  await reset.getByLabel('Reason').fill('config repaired')
  backend.recovery = data.quiet()
  await reset.getByRole('button').click()
  await expect(page.getByText('Automatic recovery is on.')).toBeVisible()
  expect(backend.requests.at(-1)).toMatchObject({ path: '/api/services/redis/auto-recovery/reset', body: { reason: 'config repaired' } })
})

test('it is said what automatic recovery would do', async ({ page }) => {
  await page.goto('/services/redis/recovery')
  await page.getByRole('button', { name: 'Look now' }).click()
  const said = page.getByRole('status').filter({ hasText: 'It would act' })
  await expect(said).toContainText('The unit has failed (exit-code). Look at the journal of the unit.')
  await expect(said).toContainText('Its acts: clear the failed state, start (standard).')
  await expect(said).toContainText('Passed over soft: The service does not run.')
  await expect(said).toContainText('exit-code')
})

test('a viewer sees the recovery and may change nothing', async ({ page, backend }) => {
  backend.session = data.session('viewer')
  await page.goto('/services/redis/recovery')
  await expect(page.getByText('Not possible: your role, viewer, may not switch.')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Switch off' })).toHaveAttribute('aria-disabled', 'true')
})

test('the ladder moves while it is watched', async ({ page, backend }) => {
  const before = data.incident()
  backend.recovery = { ...data.recovering(), incident: { ...before, level: 'soft', steps: before.steps.slice(0, 3) } }
  await page.goto('/services/redis/recovery')
  await expect(page.getByText('Live', { exact: true })).toBeVisible()
  const rung = (name: string) => page.getByRole('listitem').filter({ hasText: name })
  await expect(rung('Soft')).toContainText('Skipped')
  await expect(rung('Standard')).toContainText('Not tried')
  for (const [steps, name, state] of [[4, 'Standard', 'In progress'], [5, 'Standard', 'Failed'], [6, 'Hard', 'In progress']] as const) {
    const incident = { ...before, steps: before.steps.slice(0, steps) }
    backend.recovery = { ...data.recovering(), incident }
    backend.push({ type: 'incident', incident })
    await expect(rung(name)).toContainText(state)
  }
})

test('a link to one incident opens it', async ({ page, backend }) => {
  backend.incidents = [data.incident(), data.closedIncident()]
  await page.goto('/services/redis/timeline#inc-51c0')
  await expect(page.getByText('Stayed up for 10 s.')).toBeVisible()
})

test('evidence is read from its incident, all of it, and taken along as a file', async ({ page, backend }) => {
  backend.incidents = [data.closedIncident()]
  await page.goto('/services/redis/timeline')
  await page.getByRole('link', { name: 'evidence' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Evidence of inc-51c0' })).toBeFocused()
  const part = (name: string) => page.getByRole('region', { name, exact: true })
  await expect(part('What could not be read')).toContainText('the host did not answer in time')
  await expect(part('What Redis said')).toContainText('KEYS')
  await expect(part('What Redis said')).toContainText('10.0.0.8')
  await expect(part('The configuration, without secrets').first()).toContainText('requirepass (redacted)')
  await expect(part('Quantum state')).toContainText('redis-02')
  await expect(page.getByText('Nothing was there of: Starts of the host.')).toBeVisible()
  const file = page.getByRole('link', { name: 'Download as a file' })
  await expect(file).toHaveAttribute('href', '/api/incidents/inc-51c0/evidence')
  await expect(file).toHaveAttribute('download')
})

test('an incident without an act has no evidence, and an operator may not see any', async ({ page, backend }) => {
  backend.answers.set('GET /api/incidents/inc-51c0/evidence', { status: 200, body: { ...data.evidence(), bundle: null } })
  await page.goto('/services/redis/incidents/inc-51c0')
  await expect(page.getByText(/^Nothing was read on the host/)).toBeVisible()
  backend.session = data.session('operator')
  await page.reload()
  await expect(page.getByText('Not shown: Evidence needs admin; you are operator.')).toBeVisible()
})

test('audit is filtered by the server, and exported with the same filter', async ({ page }) => {
  await page.goto('/services/redis/audit')
  await expect(page.getByRole('row')).toHaveCount(5)
  const asked = page.waitForRequest((r) => r.url().includes('/api/audit') && r.url().includes('phase=denied'))
  await page.getByLabel('Kind').selectOption('denied')
  await asked
  await expect(page.getByRole('link', { name: 'Export as CSV' })).toHaveAttribute('href', '/api/audit/export?format=csv&service=redis&phase=denied')
})

test('a part that the server does not have is said to be missing, with its own words', async ({ page, backend }) => {
  backend.answers.set('GET /api/audit', { status: 404, body: { detail: 'There is nothing at this path' } })
  await page.goto('/services/redis/audit')
  await expect(page.getByRole('status').filter({ hasText: 'Audit not available' })).toContainText('There is nothing at this path (HTTP 404)')
  await expect(page.getByRole('table')).toBeHidden()
})

test('a service that there is not is said to be none', async ({ page, backend }) => {
  await page.goto('/services/nosuch')
  await expect(page.getByRole('heading', { level: 1, name: 'There is no such service' })).toBeVisible()
  await expect(page.getByText('This server has no service with the id nosuch.')).toBeVisible()
  await page.getByRole('link', { name: 'Go to the services' }).click()
  await expect(page.getByText('Live', { exact: true })).toBeVisible()
  const gone = { status: 404, body: { detail: 'There is no service redis' } }
  for (const part of ['status', 'health', 'auto-recovery']) backend.answers.set(`GET /api/services/redis/${part}`, gone)
  await backend.closeSockets()
  await expect(page.getByText(/^This service is not in the configuration of the server any more/)).toBeVisible({ timeout: 15_000 })
})

test('one service needs no choice, several are listed worst first', async ({ page, backend }) => {
  await page.goto('/')
  await expect(page).toHaveURL(/\/services\/redis$/)
  backend.services = [data.record(), { ...data.record(), id: 'bad', name: 'bad', status: 'failed', overall_status: 'critical' }]
  await page.goto('/')
  await expect(page.getByRole('row').nth(1)).toContainText('bad')
  await page.getByRole('link', { name: 'redis-01' }).click()
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('redis-01: Healthy')
})
