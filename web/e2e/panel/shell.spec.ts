import { expect, test } from '@playwright/test'

test.use({ serviceWorkers: 'allow' })

test('a link opens even when the server that has the panel is gone', async ({ page, context }) => {
  await page.goto('/services/redis')
  // Everything of this build is kept once the worker is active and its cache holds the page.
  await expect.poll(() => page.evaluate(async () => Boolean(await caches.match('/index.html'))), { timeout: 15_000 }).toBe(true)
  await context.setOffline(true)
  await page.goto('/services/redis/recovery')
  await expect(page.getByRole('heading', { level: 1, name: 'Recovery of redis' })).toBeVisible()
  await expect(page.getByText(/^Control API unreachable/)).toBeVisible({ timeout: 15_000 })
  const kept = await page.evaluate(async () => {
    const cache = await caches.open('panel-v1')
    return (await cache.keys()).map((r) => new URL(r.url).pathname)
  })
  expect(kept.filter((path) => path.startsWith('/api'))).toEqual([])
})
