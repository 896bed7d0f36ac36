// The wire format of the control API under the names that the panel uses. All of it comes from the API's own description
// (controlapi/openapi.yaml): `npm run gen` writes schema.gen.d.ts anew, `npm run gen:check` fails when it is out of step.
// Times are RFC 3339 in UTC. A field that the server may leave out is optional; one that may have no value is `| null`.

import type { components, operations } from './schema.gen'

type Schemas = components['schemas']

/** The JSON body of an operation's 200. */
type Answer<O extends keyof operations> = operations[O] extends { responses: { 200: { content: { 'application/json': infer B } } } } ? B : never

export type Permission = Schemas['Permission']
export type ServiceState = Schemas['ServiceState']
/** The acts that the panel offers; the API knows one more, reload. */
export type Operation = Exclude<Schemas['OperationResult']['operation'], 'reload'>

export type ServicePage = Answer<'listServices'>
export type ServiceRecord = Schemas['ServiceSummary']
export type ServiceStatus = Schemas['Status']

export type Health = Schemas['Health']
export type CheckStatus = Schemas['HealthCheck']['status']

export type Recovery = Schemas['AutoRecovery']
export type Breaker = Recovery['breaker']
export type Busy = Schemas['Busy']
/** What automatic recovery would do now, and why. */
export type Explanation = Schemas['Explanation']
export type Hold = Schemas['Hold']

export type IncidentPage = Answer<'listIncidents'>
export type Incident = Schemas['Incident']
/** The API does not say what is in a bundle: it grows. */
export type Evidence = Omit<Schemas['Evidence'], 'bundle'> & { bundle: Record<string, unknown> | null }
export type IncidentStatus = Incident['status']
export type Step = Incident['steps'][number]
export type IncidentSource = NonNullable<Incident['source']>

/** What came of an act that was tried; `success` says which of the two. */
export type OperationResult = Schemas['OperationResult'] | Schemas['OperationFailure']

export type Logs = Schemas['Logs']
export type LogLine = Logs['logs'][number]
/** A message of a followed log. */
export type LogMessage = Schemas['LogMessage']

export type AuditPage = Answer<'listAudit'>
export type AuditRecord = Schemas['AuditRecord']
export type AuditQuery = NonNullable<operations['listAudit']['parameters']['query']>

export type Session = Schemas['Me']
/** The ways to sign in that the server offers. */
export type Providers = Schemas['Providers']

export type LiveEvent = Schemas['Event']

type BusyProblem = components['responses']['Busy']['content']['application/problem+json']

/**
 * The body of an error answer. The status does not tell which of the described bodies it is, and something else may have answered
 * in the API's place: every member is to be looked for.
 */
export type Problem = Partial<Schemas['Problem'] & Schemas['ConfirmationRequired'] & Schemas['OperationFailure'] & BusyProblem>
