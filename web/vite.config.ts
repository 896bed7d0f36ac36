import { fileURLToPath, URL } from 'node:url'

import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

// The policy that the control API sends with the panel. The preview server sends it too, so that the browser tests fail on
// anything that would be refused in production.
const contentSecurityPolicy = [
  "default-src 'self'",
  "img-src 'self' data:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

const api = process.env.PANEL_API ?? 'http://127.0.0.1:8001'

export default defineConfig({
  plugins: [vue()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    // Everything is a file of ours: nothing becomes a data: address.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    manifest: 'manifest.json',
  },
  server: {
    proxy: { '/api': { target: api }, '/ws': { target: api, ws: true } },
  },
  // The preview server stands alone: browser tests play the API themselves.
  preview: { proxy: {}, headers: { 'Content-Security-Policy': contentSecurityPolicy } },
})
