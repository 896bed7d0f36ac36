import './tokens.css'

import { QueryClient, VueQueryPlugin } from '@tanstack/vue-query'
import { createPinia } from 'pinia'
import { createApp } from 'vue'

import App from './App.vue'
import { createPanelRouter } from './router'
import { applyTheme, storedTheme } from './theme'

applyTheme(storedTheme())

const queryClient = new QueryClient({
  defaultOptions: {
    queries: { networkMode: 'always', retry: false, refetchOnWindowFocus: false, staleTime: 5_000 },
    // The default would hold a change while the network is away and carry it out when it returns, minutes later.
    mutations: { networkMode: 'always', retry: false },
  },
})

if (import.meta.env.PROD && 'serviceWorker' in navigator) {
  // Refused, for example, where the certificate is not trusted: the panel then needs its server for the first load.
  navigator.serviceWorker.register('/sw.js').catch(() => undefined)
}

// After an update of the server the files of the old page are gone: load the new page, but not over and over.
window.addEventListener('vite:preloadError', (event) => {
  const last = Number(sessionStorage.getItem('redis-medic.reloaded') ?? 0)
  if (Date.now() - last < 60_000) return
  sessionStorage.setItem('redis-medic.reloaded', String(Date.now()))
  event.preventDefault()
  location.reload()
})

createApp(App).use(createPinia()).use(VueQueryPlugin, { queryClient }).use(createPanelRouter()).mount('#app')
