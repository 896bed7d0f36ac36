package health

import "time"

// minCPUSpan is the shortest span over which a CPU rate means something: Redis counts in clock ticks of the kernel.
const minCPUSpan = 500 * time.Millisecond

// CPUPercent is the CPU use of the Redis process between two INFO samples, in percent of one core. It is not known when a sample
// is missing, when they are of different processes, or when they are too close to each other.
func CPUPercent(previous, current *Info) (percent float64, known bool) {
	if previous == nil || current == nil || previous.RunID != current.RunID {
		return 0, false
	}
	span := current.At.Sub(previous.At)
	used := current.CPU - previous.CPU
	if span < minCPUSpan || used < 0 {
		return 0, false
	}
	return 100 * float64(used) / float64(span), true
}
