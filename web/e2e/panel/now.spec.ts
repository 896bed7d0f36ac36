import * as data from './data'
import { expect, test, type FakeBackend } from './fake'

const at = '/services/redis'
const posts = (b: FakeBackend) => b.requests.filter((r) => r.method === 'POST').map((r) => r.path)

test('a restart is confirmed, followed and told, and its result stays', async ({ page, backend }) => {
  let end: (answer: { status: number; body: unknown }) => void = () => undefined
  backend.onAct = () => new Promise((resolve) => (end = resolve))
  await page.goto(at)
  await page.getByRole('button', { name: 'Restart…' }).click()
  const dialog = page.getByRole('alertdialog', { name: 'Restart redis-01?' })
  await expect(dialog).toContainText('This drops 42 clients')
  await dialog.getByRole('button', { name: 'Restart' }).click()
  await expect(page.getByRole('button', { name: /^Restarting… \d+ s of ≤ 40 s$/ })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Stop…' })).toHaveAttribute('aria-disabled', 'true')
  end({ status: 200, body: data.done('restart') })
  await expect(page.getByText('Redis service restarted successfully')).toBeVisible()
  await page.getByRole('link', { name: 'Recovery' }).click()
  await page.getByRole('link', { name: 'Now' }).click()
  await expect(page.getByText('Redis service restarted successfully')).toBeVisible()
  await page.getByRole('button', { name: 'Dismiss' }).click()
  await expect(page.getByText('Redis service restarted successfully')).toBeHidden()
  expect(backend.requests.find((r) => r.path.endsWith('/restart'))?.headers).toMatchObject({
    'x-requested-with': 'redis-medic-panel', 'idempotency-key': expect.stringMatching(/^[0-9a-f]{32}$/),
  })
})

test('a stop needs the name, and works by keyboard alone', async ({ page, backend }) => {
  await page.goto(at)
  const stop = page.getByRole('button', { name: 'Stop…' })
  await expect(stop).toHaveAttribute('aria-disabled', 'false')
  await stop.focus()
  await page.keyboard.press('Enter')
  const dialog = page.getByRole('alertdialog', { name: 'Stop redis-01?' })
  await expect(dialog.getByRole('button', { name: 'Cancel' })).toBeFocused()
  await expect(dialog).toContainText('Automatic recovery is held until somebody starts it again')
  await expect(dialog).toContainText('Affected: backend, knowledge_base, cache.')
  await page.keyboard.press('Escape')
  await expect(stop).toBeFocused()
  await page.keyboard.press('Enter')
  await dialog.getByLabel('Type redis-01 to confirm').fill('redis')
  await page.keyboard.press('Enter')
  await expect(dialog).toBeVisible()
  expect(posts(backend)).toEqual([])
  await dialog.getByLabel('Type redis-01 to confirm').fill('redis-01')
  await page.keyboard.press('Enter')
  await expect(page.getByText('Redis service stopped successfully')).toBeVisible()
  expect(backend.requests.find((r) => r.path.endsWith('/stop'))?.body).toEqual({ confirmation: true })
})

test('an operator sees Stop, and why it is not theirs', async ({ page, backend }) => {
  backend.session = data.session('operator')
  await page.goto(at)
  await expect(page.getByText('Stop needs admin; you are operator.')).toBeVisible()
  await page.getByRole('button', { name: 'Stop…' }).click({ force: true })
  await expect(page.getByRole('alertdialog')).toBeHidden()
  await expect(page.getByRole('heading', { name: 'Recent log lines' })).toBeHidden()
})

test('an outage shows up by itself, and so does its end', async ({ page, backend }) => {
  await page.goto(at)
  const title = page.getByRole('heading', { level: 1 })
  await expect(title).toHaveText('redis-01: Healthy')
  await expect(page.getByText('Live', { exact: true })).toBeVisible()

  Object.assign(backend, { status: data.failed(), health: data.critical() })
  backend.pushStatus()
  await expect(title).toHaveText('redis-01: Down')
  await expect(page).toHaveTitle(/^⬣ redis-01 Down \d/)
  await expect(page.locator('#icon')).toHaveAttribute('href', '/icons/down.svg')
  await expect(page.getByRole('alert').filter({ hasText: 'redis-01: Down' })).toBeAttached()

  backend.recovery = data.recovering()
  backend.push({ type: 'incident', incident: data.incident() })
  await expect(title).toHaveText('redis-01: Recovering, step 3 of 3')
  await expect(page.getByText('Actions are off: redis-medic is running restart')).toBeVisible()
  await expect(page.getByRole('listitem').filter({ hasText: 'Hard' })).toContainText('In progress')

  Object.assign(backend, { status: data.running(), health: data.healthy(), recovery: data.quiet() })
  backend.push({ type: 'auto_recovery', recovery_level: 'hard', status: 'success', message: 'Redis service recovered automatically' })
  backend.pushStatus()
  await expect(title).toHaveText('redis-01: Healthy')
  await expect(page).toHaveTitle('✓ redis-01 Healthy')
})

test('a service says what it is for, and where else to look', async ({ page, backend }) => {
  backend.services = [{ ...data.record(), environment: 'production', runbook_url: 'https://wiki.example/redis', dashboard_url: 'https://graphs.example/d/1' }]
  backend.recovery = data.recovering()
  await page.goto(at)
  await expect(page.getByText('production', { exact: true })).toBeVisible()
  await expect(page.getByRole('link', { name: /^Runbook/ })).toHaveAttribute('href', 'https://wiki.example/redis')
  await expect(page.getByRole('link', { name: /^Graphs/ })).toHaveAttribute('href', /^https:\/\/graphs\.example\/d\/1\?from=\d+&to=now$/)
  backend.recovery = data.quiet()
  await page.reload()
  await page.getByRole('button', { name: 'Restart…' }).click()
  await expect(page.getByRole('alertdialog', { name: 'Restart redis-01 (production)?' })).toBeVisible()
})

test('an act that somebody else has in hand is named', async ({ page, backend }) => {
  backend.onAct = () => ({ status: 409, body: { detail: 'busy', busy: { by: 'ann@example.org', operation: 'stop', since: data.ago(3) } } })
  await page.goto(at)
  await page.getByRole('button', { name: 'Restart…' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Restart' }).click()
  await expect(page.getByText('Not done: ann@example.org is running stop on this service.')).toBeVisible()
})

test('an unreachable host is a sentence of its own', async ({ page, backend }) => {
  backend.status = { ...data.running(), status: 'unknown', vm_info: { host: '10.77.0.2', name: 'Redis VM', ssh_accessible: false } }
  backend.health = { ...data.critical(), overall_status: 'unknown', reasons: [data.reason('host_unreachable', 'unknown', 'SSH: no route to host.')] }
  await page.goto(at)
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('redis-01: Unknown')
  await expect(page.getByText('Host 10.77.0.2 is not reachable over SSH.')).toBeVisible()
  await expect(page.getByText('Actions are off: the host is not reachable over SSH.')).toBeVisible()
  await expect(page.getByText(/Control API unreachable/)).toBeHidden()
})

test('keys go, and list themselves', async ({ page }) => {
  await page.goto(at)
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('redis-01: Healthy')
  await page.keyboard.press('g')
  await page.keyboard.press('t')
  await expect(page.getByRole('heading', { level: 1, name: 'Timeline of redis-01' })).toBeFocused()
  await page.keyboard.press('?')
  await expect(page.getByRole('dialog', { name: 'Keys' })).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(page.getByRole('dialog', { name: 'Keys' })).toBeHidden()
})

test('the theme is the reader\'s choice, and is kept', async ({ page }) => {
  await page.emulateMedia({ colorScheme: 'light' })
  await page.goto(at)
  await page.getByRole('button', { name: /^Account and theme/ }).click()
  await page.getByLabel('Dark').check()
  await page.reload()
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark')
  const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
  expect(background).toBe('rgb(20, 23, 28)')
})

test('on a phone the acts are within reach of a thumb', async ({ page }) => {
  await page.setViewportSize({ width: 360, height: 740 })
  await page.goto(at)
  for (const name of ['Restart…', 'Start', 'Stop…']) {
    const box = await page.getByRole('button', { name, exact: true }).boundingBox()
    expect(box?.height).toBeGreaterThanOrEqual(44)
    expect(box?.width).toBeGreaterThanOrEqual(44)
    expect((box?.y ?? 0) + (box?.height ?? 0)).toBeGreaterThan(680)
  }
})
