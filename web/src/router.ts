import { createRouter, createWebHistory, type RouteLocationNormalized, type Router } from 'vue-router'

import { useSession } from '@/api/session'

declare module 'vue-router' {
  interface RouteMeta {
    title: string
  }
}

/** The addresses of the panel. All but the sign-in page ask for a session, as far as the API can be asked. */
export function createPanelRouter(): Router {
  const router = createRouter({
    history: createWebHistory(),
    routes: [
      { path: '/signin', name: 'signin', component: () => import('@/screens/SignInScreen.vue'), meta: { title: 'Sign in' } },
      { path: '/', name: 'home', component: () => import('@/screens/HomeScreen.vue'), meta: { title: 'Services' } },
      {
        path: '/services/:id',
        component: () => import('@/screens/ServiceFrame.vue'),
        meta: { title: '' },
        children: [
          { path: '', name: 'now', component: () => import('@/screens/NowScreen.vue'), meta: { title: 'Now' } },
          { path: 'recovery', name: 'recovery', component: () => import('@/screens/RecoveryScreen.vue'), meta: { title: 'Recovery' } },
          { path: 'timeline', name: 'timeline', component: () => import('@/screens/TimelineScreen.vue'), meta: { title: 'Timeline' } },
          { path: 'incidents/:incident', name: 'evidence', component: () => import('@/screens/EvidenceScreen.vue'), meta: { title: 'Evidence' } },
          { path: 'logs', name: 'logs', component: () => import('@/screens/LogsScreen.vue'), meta: { title: 'Logs' } },
          { path: 'audit', name: 'audit', component: () => import('@/screens/AuditScreen.vue'), meta: { title: 'Audit' } },
        ],
      },
      { path: '/:rest(.*)*', name: 'nowhere', component: () => import('@/screens/NowhereScreen.vue'), meta: { title: 'Not found' } },
    ],
  })
  router.beforeEach(guard)
  return router
}

async function guard(to: RouteLocationNormalized): Promise<boolean | object> {
  const session = useSession()
  if (session.state === 'unasked') await session.load()
  if (to.name === 'signin' || session.state !== 'anonymous') return true
  return { name: 'signin', query: to.fullPath === '/' ? {} : { next: to.fullPath } }
}
