import { useQuery } from '@tanstack/vue-query'
import { computed, type ComputedRef, type Ref } from 'vue'
import { useRoute } from 'vue-router'

import { RedisServiceAPI } from '@/api/RedisServiceAPI'
import type { ApiError } from '@/api/client'
import type { Page, ServiceRecord } from '@/api/schema'
import { recall } from '@/live/memory'

/** The configured services. They change only with the configuration, so they are not asked for often. */
export function useServices(refetchInterval: number | false = false): {
  data: Ref<Page<ServiceRecord> | undefined>
  error: Ref<ApiError | null>
  dataUpdatedAt: Ref<number>
  refetch: () => unknown
} {
  return useQuery<Page<ServiceRecord>, ApiError>({
    queryKey: ['services'], queryFn: RedisServiceAPI.services, staleTime: 60_000, refetchInterval,
  })
}

/** The service of the present page: what the list of services says of it, its id while that is not known. */
export function useService(): { id: ComputedRef<string>; record: ComputedRef<ServiceRecord>; name: ComputedRef<string> } {
  const route = useRoute()
  const services = useServices()
  const id = computed(() => String(route.params.id ?? ''))
  const record = computed<ServiceRecord>(
    () => services.data.value?.records.find((r) => r.id === id.value) ?? remembered(id.value),
  )
  return { id, record, name: computed(() => record.value.name || id.value) }
}

function remembered(id: string): ServiceRecord {
  const m = recall(id)
  return { id, name: m?.name || id, ...(m ? { host: m.host, unit: m.unit, runbook_url: m.runbook } : {}) }
}
