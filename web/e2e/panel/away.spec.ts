import type { Page } from '@playwright/test'

import * as data from './data'
import { expect, test } from './fake'

// The control API goes away in all the ways it can. Each test makes sure that it was still away after it had looked.

const at = '/services/redis'
const banner = (page: Page) => page.getByRole('status').filter({ hasText: /^Control API unreachable/ })

async function open(page: Page): Promise<void> {
  await page.goto(at)
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('redis-01: Healthy')
  await expect(page.getByText('Live', { exact: true })).toBeVisible()
}

/** Looks for a state that is claimed as the present one. What stands after "Last known:" is not. */
async function claims(page: Page): Promise<string[]> {
  const texts = await page.evaluate(() => {
    const found: string[] = []
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    while (walker.nextNode()) {
      if (!walker.currentNode.parentElement?.closest('noscript')) found.push(walker.currentNode.textContent?.trim() ?? '')
    }
    for (const element of document.querySelectorAll('[aria-label]')) found.push(element.getAttribute('aria-label') ?? '')
    found.push(document.title)
    return found
  })
  return texts.filter((t) => /healthy|passed/i.test(t.replace(/Last known: .*/s, '')))
}

for (const mode of ['unreachable', 'frozen', 'proxy-error'] as const) {
  test(`nothing is claimed while the API is ${mode}`, async ({ page, backend }) => {
    test.setTimeout(90_000)
    await open(page)
    await backend.goAway(mode)
    await expect(banner(page)).toBeVisible({ timeout: 45_000 })
    expect(backend.mode).toBe(mode)
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('redis-01: Unknown')
    await expect(page.getByText('Last known: Healthy', { exact: true }).first()).toBeVisible()
    await expect(page.getByText('Actions are off: the control API is unreachable.')).toBeVisible()
    await expect(page.getByText('ssh 10.77.0.2 systemctl status redis-server.service')).toBeVisible()
    expect(await claims(page)).toEqual([])
    await page.getByRole('button', { name: 'Restart…' }).click({ force: true })
    await expect(page.getByRole('alertdialog')).toBeHidden()
    await expect(banner(page)).toBeVisible()

    backend.mode = 'up'
    await page.getByRole('button', { name: 'Try again now' }).click()
    await expect(banner(page)).toBeHidden({ timeout: 40_000 })
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('redis-01: Healthy')
  })
}

test('a blip moves nothing but a small mark', async ({ page, backend }) => {
  await open(page)
  await backend.goAway()
  await expect(page.getByText('Reconnecting…')).toBeVisible()
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('redis-01: Healthy')
  await expect(banner(page)).toBeHidden()
  backend.mode = 'up'
  await expect(page.getByText('Live', { exact: true })).toBeVisible({ timeout: 15_000 })
})

test('without its socket the panel asks, and says so', async ({ page, backend }) => {
  backend.sockets = false
  await page.goto(at)
  await expect(page.getByText('Live events interrupted, asking every 5 s')).toBeVisible()
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('redis-01: Healthy')
  Object.assign(backend, { status: data.failed(), health: data.critical() })
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('redis-01: Down', { timeout: 12_000 })
})

test('old measurements are unknown, though the API answers', async ({ page, backend }) => {
  backend.stale = true
  backend.status = { ...data.running(), last_check: data.ago(120) }
  await page.goto(at)
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('redis-01: Unknown')
  await expect(page.getByText(/^The control API answers, but its last check of this service is/)).toBeVisible()
  await expect(page.getByText('Actions are off: the state is unknown.')).toBeVisible()
  expect(await claims(page)).toEqual([])
})

test('an act that could not be sent is never sent later', async ({ page, context, backend }) => {
  await open(page)
  await page.getByRole('button', { name: 'Restart…' }).click()
  const confirm = page.getByRole('alertdialog').getByRole('button', { name: 'Restart' })
  await backend.goAway()
  await context.setOffline(true)
  await confirm.click()
  await expect(page.getByText('Not sent: this device is offline. Nothing was queued.')).toBeVisible()
  await context.setOffline(false)
  backend.mode = 'up'
  await expect(page.getByText('Live', { exact: true })).toBeVisible({ timeout: 15_000 })
  expect(backend.requests).toEqual([])
})

test('an act that was cut off has an unknown outcome', async ({ page, backend }) => {
  await open(page)
  backend.onAct = () => ({ status: 502, body: 'no' })
  await page.getByRole('button', { name: 'Restart…' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Restart' }).click()
  await expect(page.getByText(/^Outcome unknown:/)).toBeVisible()
  expect(backend.requests.filter((r) => r.path.endsWith('/restart'))).toHaveLength(1)
})

test('a first load without the API says what to do, and goes on by itself', async ({ page, backend }) => {
  await open(page)
  await backend.goAway()
  await page.reload()
  await expect(page.getByText(/^Control API unreachable. Nothing is known about Redis from here/)).toBeVisible({ timeout: 15_000 })
  await expect(page.getByText(/^Last known: Healthy, at /)).toBeVisible()
  await expect(page.getByText('ssh 10.77.0.2 systemctl status redis-server.service')).toBeVisible()
  expect(await claims(page)).toEqual([])
  backend.mode = 'up'
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('redis-01: Healthy', { timeout: 20_000 })
  await expect(page.getByRole('button', { name: 'Restart…' })).toHaveAttribute('aria-disabled', 'false', { timeout: 15_000 })
})
