import { defineConfig } from '@playwright/test'

const PORT = Number(process.env.PANEL_PORT ?? 4173)

// Debian's Chromium: Playwright's own download is not needed. Two projects: `panel` plays the backend itself, `real` needs one.
export default defineConfig({
  testDir: 'e2e',
  timeout: 30_000,
  expect: { timeout: 5_000 },
  fullyParallel: true,
  workers: 2,
  forbidOnly: Boolean(process.env.CI),
  reporter: [['list']],
  outputDir: 'test-results',
  use: {
    launchOptions: {
      executablePath: process.env.PANEL_CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--no-first-run',
      ],
    },
    locale: 'en-GB',
    timezoneId: 'UTC',
    trace: 'off',
    // Requests that a service worker sees cannot be played by the tests; one spec allows it.
    serviceWorkers: 'block',
  },
  projects: [
    { name: 'panel', testMatch: 'panel/*.spec.ts', use: { baseURL: `http://127.0.0.1:${PORT}` } },
    {
      name: 'real',
      testMatch: 'real/*.spec.ts',
      timeout: 180_000,
      use: { baseURL: process.env.PANEL_URL, ignoreHTTPSErrors: true },
    },
  ],
  webServer: process.env.PANEL_URL
    ? undefined
    : {
        // A build of its own: what is tested is what the sources are now, whoever builds dist/ meanwhile.
        command: `npx vite build --logLevel error --outDir .preview && npx vite preview --outDir .preview --host 127.0.0.1 --port ${PORT} --strictPort`,
        url: `http://127.0.0.1:${PORT}/`,
        reuseExistingServer: false,
        timeout: 120_000,
      },
})
