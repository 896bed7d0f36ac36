import { VueQueryPlugin, QueryClient } from '@tanstack/vue-query'
import { cleanup, render, type RenderResult } from '@testing-library/vue'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach } from 'vitest'
import type { Component } from 'vue'
import { createMemoryHistory, createRouter } from 'vue-router'

import type { Session } from '@/api/schema'
import { useSession } from '@/api/session'

import { api, type FakeApi } from './api'
import { session as sessionOf } from '../e2e/panel/data'

afterEach(cleanup)

interface Options {
  props?: Record<string, unknown>
  slots?: Record<string, string>
  role?: 'admin' | 'operator' | 'viewer'
}

/** Shows a component as the panel does: with a store, a router, a query client and somebody who is signed in. */
export async function show(component: Component, options: Options = {}): Promise<RenderResult & { fake: FakeApi }> {
  const fake = api()
  const pinia = createPinia()
  setActivePinia(pinia)
  const signedIn: Session = sessionOf(options.role ?? 'admin')
  fake.on('GET /api/auth/me', 200, signedIn)
  await useSession().load()
  const stub = { template: '<div />' }
  const names = ['now', 'recovery', 'timeline', 'logs', 'audit']
  const router = createRouter({
    history: createMemoryHistory(),
    routes: [{ path: '/', name: 'home', component: stub }, ...names.map((name) => ({ path: `/services/:id/${name}`, name, component: stub }))],
  })
  await router.push('/services/redis/now')
  const queryClient = new QueryClient({ defaultOptions: { queries: { retry: false, networkMode: 'always' }, mutations: { networkMode: 'always', retry: false } } })
  const result = render(component, {
    props: options.props,
    slots: options.slots,
    global: { plugins: [pinia, router, [VueQueryPlugin, { queryClient }]] },
  })
  return { ...result, fake }
}
