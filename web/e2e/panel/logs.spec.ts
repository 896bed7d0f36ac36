import type { Page } from '@playwright/test'

import * as data from './data'
import { expect, test, type FakeBackend } from './fake'

const region = (page: Page) => page.getByRole('region', { name: 'Log lines' })
const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `entry ${from + i}.`)

async function follow(page: Page, backend: FakeBackend): Promise<void> {
  await page.goto('/services/redis/logs')
  await expect(page.getByText('Live', { exact: true })).toBeVisible()
  await expect(page.getByText('8 lines')).toBeVisible()
  await page.getByRole('switch', { name: 'Follow' }).click()
  await expect(page.getByText('Following, 8 lines')).toBeVisible()
  expect(backend.followed).toHaveLength(1)
}

/** How far the reader is from the end of the lines, in pixels. */
const distance = (page: Page) => region(page).evaluate((box) => Math.round(box.scrollHeight - box.scrollTop - box.clientHeight))

/** Where the reader stands once the browser has scrolled to the end of its way. */
async function restingPlace(page: Page): Promise<number> {
  let last = -1
  await expect.poll(async () => {
    const before = last
    last = await region(page).evaluate((box) => box.scrollTop)
    return last === before
  }, { intervals: [200] }).toBe(true)
  return last
}

test('logs are filtered while they are followed', async ({ page, backend }) => {
  await follow(page, backend)
  await page.getByLabel('Containing').fill('append-only')
  await expect(page.getByText('Following, 1 line', { exact: true })).toBeVisible()
  backend.write('Asynchronous append-only rewrite', 'something else')
  await expect(page.getByText('Following, 2 lines')).toBeVisible()
  await page.getByLabel('Containing').fill('')
  await expect(page.getByText('something else')).toBeVisible()
  await page.getByLabel('Level').selectOption('error')
  await expect.poll(() => backend.followed.at(-1)?.get('level')).toBe('error')
})

test('who scrolls up is left in peace, and told how many lines wait', async ({ page, backend }) => {
  await follow(page, backend)
  backend.write(...numbered(0, 90))
  await expect(page.getByText('entry 89.')).toBeInViewport()
  await region(page).focus()
  await page.keyboard.press('PageUp')
  await expect(page.getByText('Paused – 0 new')).toBeVisible()
  const before = await restingPlace(page)
  backend.write(...numbered(90, 97))
  await expect(page.getByText('Paused – 7 new')).toBeVisible()
  await expect(page.getByText('entry 96.')).toBeHidden()
  expect(await restingPlace(page)).toBe(before)
  await page.getByRole('button', { name: 'Show 7 new lines' }).click()
  await expect(page.getByText('entry 96.')).toBeInViewport()
  await region(page).focus()
  await page.keyboard.press('Home')
  await expect(page.getByText('Paused – 0 new')).toBeVisible()
  backend.write('the last one')
  await expect(page.getByText('Paused – 1 new')).toBeVisible()
  await page.keyboard.press('End')
  await expect(page.getByText('the last one')).toBeInViewport()
  await expect.poll(() => distance(page)).toBeLessThan(8)
})

test('a flood does not grow the page', async ({ page, backend }) => {
  await follow(page, backend)
  for (let i = 0; i < 2500; i += 100) backend.write(...numbered(i, i + 100))
  await expect(page.getByText('entry 2499.')).toBeInViewport({ timeout: 15_000 })
  expect(await region(page).getByRole('listitem').count()).toBe(1000)
  await expect(page.getByText('The newest 1000 lines stand here; 1508 older ones have left the page.')).toBeAttached()
})

test('a lost connection goes on where it was, without a line twice', async ({ page, backend }) => {
  await follow(page, backend)
  backend.write('before')
  await expect(page.getByText('before', { exact: true })).toBeVisible()
  await backend.closeReaders(1001)
  backend.write('meanwhile')
  await expect(page.getByText('meanwhile', { exact: true })).toHaveCount(1, { timeout: 10_000 })
  await expect(page.getByText('Following, 10 lines')).toBeVisible()
  expect(backend.followed.at(-1)?.get('since')).toMatch(/Z$/)
  backend.tellReaders({ lines: [{ timestamp: data.ago(0), level: 'info', message: 'much later', source: 'redis' }], gap: true })
  await expect(page.getByText('Lines may be missing here.')).toBeVisible()
})

test('a host that cannot be read is said, and so is its return', async ({ page, backend }) => {
  await follow(page, backend)
  backend.tellReaders({ error: 'The host cannot be reached.' })
  const said = page.getByText('The log cannot be read at the moment: The host cannot be reached. Reading goes on.')
  await expect(said).toBeVisible()
  backend.write('back')
  await expect(said).toBeHidden()
})

test('following ends with the service', async ({ page, backend }) => {
  await follow(page, backend)
  await backend.closeReaders(4403, { status: 404, body: { detail: 'There is no service redis' } })
  await expect(page.getByText(/^Following has ended: this service is not in the configuration/)).toBeVisible()
  await expect(page.getByText('DB saved on disk')).toBeVisible()
  await expect(page.getByRole('switch', { name: 'Follow' })).not.toBeChecked()
})

test('following ends with the right to see logs', async ({ page, backend }) => {
  await follow(page, backend)
  backend.session = data.session('operator')
  await backend.closeReaders(4403, { status: 403, body: { detail: 'no', required_roles: ['admin'], user_role: 'operator' } })
  await expect(page.getByText('Not shown: Logs needs admin; you are operator.')).toBeVisible()
  await expect(page.getByText('DB saved on disk')).toBeHidden()
})

test('following waits for the sign-in, and goes on after it', async ({ page, backend }) => {
  await follow(page, backend)
  backend.session = null
  await backend.closeReaders(4401)
  await backend.closeSockets()
  const dialog = page.getByRole('dialog', { name: 'Your session has ended' })
  await dialog.getByLabel('Password').fill('secret')
  await page.keyboard.press('Enter')
  await expect(dialog).toBeHidden()
  backend.write('after the sign-in')
  await expect(page.getByText('after the sign-in')).toHaveCount(1, { timeout: 10_000 })
})

test('readers of screens are told how many lines came, not each', async ({ page, backend }) => {
  await page.clock.install()
  await follow(page, backend)
  const told = page.locator('.viewer [role=status].visually-hidden')
  await expect(told).toHaveText('Following')
  backend.write('one', 'two')
  await expect(page.getByText('Following, 10 lines')).toBeVisible()
  await expect(told).toHaveText('Following')
  await page.clock.fastForward(16_000)
  await expect(told).toHaveText('2 new lines')
})
