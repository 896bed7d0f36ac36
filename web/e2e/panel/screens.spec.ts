import { AxeBuilder } from '@axe-core/playwright'
import type { Page } from '@playwright/test'

import { expect, test } from './fake'
import { enter, SCENES } from './scenes'

// Every screen and open dialog, in both themes and at both widths, has no finding of axe and no side-scroll. With SHOTS=1 a
// picture of each is left in shots/, for people to look at.
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
const HEIGHT = { 1280: 860, 360: 740, 320: 740 }

// Each test runs axe four times, which is slow on a busy machine. There are no frames, so that the quicker mode misses nothing.
test.describe.configure({ timeout: 120_000 })

async function check(page: Page, name: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).setLegacyMode().withTags(RULES).analyze()
  const found = violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(' | ')}`)
  expect.soft(found, name).toEqual([])
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
  expect.soft(overflow, `${name} scrolls sideways`).toBeLessThanOrEqual(0)
  if (process.env.SHOTS) await page.screenshot({ path: `shots/${name}.png`, fullPage: process.env.SHOTS === 'full' })
}

for (const scene of SCENES) {
  test(`${scene.name} reads for everybody`, async ({ page, backend }) => {
    await page.setViewportSize({ width: 1280, height: HEIGHT[1280] })
    await enter(page, backend, scene)
    for (const width of [1280, 360] as const) {
      await page.setViewportSize({ width, height: HEIGHT[width] })
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme })
        await check(page, `${scene.name}-${colorScheme}-${width}`)
      }
    }
  })
}

test('forced colours leave shapes and words', async ({ page, backend }) => {
  await page.emulateMedia({ forcedColors: 'active' })
  const scene = SCENES.find((s) => s.name === 'now-recovering')
  if (!scene) throw new Error('no such scene')
  await enter(page, backend, scene)
  await check(page, 'now-recovering-forced')
  await expect(page.getByRole('heading', { level: 1 }).locator('svg')).toBeVisible()
})

test('four times as large is still one column', async ({ page, backend }) => {
  await page.setViewportSize({ width: 320, height: HEIGHT[320] })
  for (const scene of SCENES.filter((s) => ['now-recovering', 'recovery-latched', 'timeline', 'logs', 'audit'].includes(s.name))) {
    await enter(page, backend, scene)
    await check(page, `${scene.name}-320`)
  }
})
