package health

// codes is the closed list of reasons, worst causes first: within one status, reasons are shown in this order.
var codes = []Code{
	CodeHostKey, CodeHostAuth, CodeHostDenied, CodeHostUnreachable,
	CodeUnitMasked, CodeUnitMissing, CodeUnitStartLimited, CodeUnitFailed, CodeUnitInactive, CodeHung, CodeNoConnectivity,
	CodeNotReachable, CodeUnitTransient, CodeUnitUnknown,
	CodeLoading, CodeBusy, CodeMisconf, CodeMasterDown, CodeNoAuth, CodeNoPerm, CodeMaxClients, CodeProtocol,
	CodeMemoryCritical, CodeClientsCritical, CodeCPUCritical, CodeMemoryLimit, CodeClientsLimit,
	CodeMemoryWarning, CodeClientsWarning, CodeCPUWarning,
	CodePersistence, CodeReplicationBroken, CodeSlow, CodeNotMeasured,
}

// Codes lists every reason code, worst causes first, for state-set metrics and schemas.
func Codes() []Code { return append([]Code(nil), codes...) }

var rank = func() map[Code]int {
	m := make(map[Code]int, len(codes))
	for i, c := range codes {
		m[c] = i
	}
	return m
}()

// unitDown are the reasons that explain by themselves why nothing answers.
var unitDown = []Code{CodeUnitMasked, CodeUnitMissing, CodeUnitStartLimited, CodeUnitFailed, CodeUnitInactive, CodeUnitTransient}

// hiddenBy lists for a consequence the causes that explain it.
var hiddenBy = map[Code][]Code{
	CodeUnitInactive:      {CodeUnitMasked, CodeUnitMissing},
	CodeUnitFailed:        {CodeUnitMasked, CodeUnitMissing, CodeUnitStartLimited},
	CodeUnitStartLimited:  {CodeUnitMasked, CodeUnitMissing},
	CodeUnitTransient:     {CodeLoading},
	CodeHung:              unitDown,
	CodeNoConnectivity:    append([]Code{CodeHostUnreachable}, unitDown...),
	CodeNotReachable:      append([]Code{CodeHostUnreachable}, unitDown...),
	CodeNotMeasured:       append([]Code{CodeHostUnreachable}, unitDown...),
	CodePersistence:       {CodeMisconf},
	CodeReplicationBroken: {CodeMasterDown},
}

// severity orders the statuses. Unknown outranks degraded: what cannot be seen must not look like a known, smaller trouble.
var severity = map[Status]int{Healthy: 0, Degraded: 1, Unknown: 2, Critical: 3}
