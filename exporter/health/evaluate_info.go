package health

import (
	"fmt"
	"strconv"
)

const mib = 1 << 20

// performance compares INFO with the thresholds. By the document's definitions whatever it finds is degraded at most: critical is
// kept for a service that does not run or does not answer. The check itself fails at a critical threshold.
func (e *evaluation) performance() Check {
	c := Check{Name: CheckPerformance, Status: CheckUnknown, Error: e.s.InfoErr}
	i := e.s.Info
	switch {
	case e.s.Off.Performance:
		return c
	case e.down:
		c.Message, c.Error = "Cannot collect metrics - service not running", ""
		return c
	case e.silent:
		c.Message, c.Error = "Cannot collect metrics - service not responding", ""
		return c
	case i == nil && e.s.InfoErr != "":
		c.Message = "Cannot collect metrics - INFO was refused or failed"
		return c
	case i == nil:
		c.Message = "Not checked yet"
		return c
	}
	c.At, c.Took = i.At, i.Took
	if e.stale(i.At, orElse(e.t.InfoStaleAfter, e.t.StaleAfter)) {
		c.Message = "The last metrics are too old"
		return c
	}
	c.Status, c.Message = CheckPass, "All metrics within normal ranges"
	e.memory(&c, i)
	e.clients(&c, i)
	e.cpu(&c, i)
	e.data(&c, i)
	return c
}

// raise records that a threshold was passed. The first message stays, but a failure outranks a warning.
func (c *Check) raise(s CheckStatus, message string) {
	if c.Status == CheckPass || (c.Status == CheckWarning && s == CheckFail) {
		c.Status, c.Message = s, message
	}
}

func (e *evaluation) memory(c *Check, i *Info) {
	used := strconv.FormatInt(i.UsedMemory/mib, 10)
	limit := func(l int64) map[string]string {
		return map[string]string{"used_mb": used, "threshold_mb": strconv.FormatInt(l/mib, 10)}
	}
	switch {
	case e.t.MemoryCritical > 0 && i.UsedMemory >= e.t.MemoryCritical:
		c.raise(CheckFail, "Critical memory usage detected")
		e.add(CodeMemoryCritical, Degraded, "Redis uses "+used+" MB of memory.", adviceMemory, limit(e.t.MemoryCritical))
	case e.t.MemoryWarning > 0 && i.UsedMemory >= e.t.MemoryWarning:
		c.raise(CheckWarning, "High memory usage detected")
		e.add(CodeMemoryWarning, Degraded, "Redis uses "+used+" MB of memory.", adviceMemory, limit(e.t.MemoryWarning))
	}
	if e.t.MemoryLimitRatio > 0 && i.MaxMemory > 0 && float64(i.UsedMemory) >= e.t.MemoryLimitRatio*float64(i.MaxMemory) {
		c.raise(CheckWarning, "High memory usage detected")
		e.add(CodeMemoryLimit, Degraded, "Redis has nearly used up its maxmemory.", adviceMemory, limit(i.MaxMemory))
	}
}

func (e *evaluation) clients(c *Check, i *Info) {
	n := strconv.Itoa(i.Clients)
	limit := func(l int) map[string]string {
		return map[string]string{"connections": n, "threshold": strconv.Itoa(l)}
	}
	switch {
	case e.t.ConnectionsCritical > 0 && i.Clients >= e.t.ConnectionsCritical:
		c.raise(CheckFail, "Critical connection count detected")
		e.add(CodeClientsCritical, Degraded, n+" clients are connected.", adviceClients, limit(e.t.ConnectionsCritical))
	case e.t.ConnectionsWarning > 0 && i.Clients >= e.t.ConnectionsWarning:
		c.raise(CheckWarning, "High connection count detected")
		e.add(CodeClientsWarning, Degraded, n+" clients are connected.", adviceClients, limit(e.t.ConnectionsWarning))
	}
	if e.t.ConnectionsRatio > 0 && i.MaxClients > 0 && float64(i.Clients) >= e.t.ConnectionsRatio*float64(i.MaxClients) {
		c.raise(CheckWarning, "Connection count near maximum")
		e.add(CodeClientsLimit, Degraded, n+" clients are connected, near maxclients.", adviceClients, limit(i.MaxClients))
	}
}

func (e *evaluation) cpu(c *Check, i *Info) {
	percent, known := CPUPercent(e.s.Previous, i)
	if !known {
		return
	}
	text := fmt.Sprintf("Redis uses %.0f %% of a CPU core.", percent)
	limit := func(l float64) map[string]string {
		return map[string]string{"cpu_percent": fmt.Sprintf("%.1f", percent), "threshold": strconv.FormatFloat(l, 'g', -1, 64)}
	}
	switch {
	case e.t.CPUCritical > 0 && percent >= e.t.CPUCritical:
		c.raise(CheckFail, "Critical CPU usage detected")
		e.add(CodeCPUCritical, Degraded, text, adviceSlow, limit(e.t.CPUCritical))
	case e.t.CPUWarning > 0 && percent >= e.t.CPUWarning:
		c.raise(CheckWarning, "High CPU usage detected")
		e.add(CodeCPUWarning, Degraded, text, adviceSlow, limit(e.t.CPUWarning))
	}
}

// data looks at what endangers the data set rather than the speed.
func (e *evaluation) data(c *Check, i *Info) {
	if !i.BgsaveOK || (i.AOFOn && !i.AOFWriteOK) {
		c.raise(CheckWarning, "Persistence failed")
		e.add(CodePersistence, Degraded, "The last save or append to disk failed.", adviceDisk, map[string]string{
			"bgsave_ok": strconv.FormatBool(i.BgsaveOK), "aof_write_ok": strconv.FormatBool(i.AOFWriteOK),
		})
	}
	if i.Role == "slave" && i.MasterLink == "down" && !i.MasterSync {
		c.raise(CheckWarning, "Replication is broken")
		e.add(CodeReplicationBroken, Degraded, "The replica has lost its master.", adviceReplica, map[string]string{"master_link": i.MasterLink})
	}
}
