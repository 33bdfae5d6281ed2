package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// result is what the load generator reports of one run; times in µs.
type result struct {
	CPU     float64 `json:"server_cpu_us_per_request"`
	Rate    float64 `json:"requests_per_s"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	Non2xx  uint64  `json:"non_2xx"`
	Errors  uint64  `json:"connection_errors"`
	First   string  `json:"first_error"`
	RSS     float64 `json:"server_rss_mib"`
	PeakRSS float64 `json:"server_peak_rss_mib"`
}

// load is one run of the load generator.
type load struct {
	target string // the operation
	body   string
	conns  int
	extra  []string
}

// drive runs the load against a server. A run in which anything was refused is no
// measurement.
func (b *bench) drive(p *process, t *trent, l load) (result, error) {
	args := []string{
		"-json", "-insecure", "-url", p.url, "-server-pid", p.pid(), "-target", "TrentService." + l.target, "-body", l.body,
		"-conns", strconv.Itoa(l.conns), "-duration", b.duration.String(), "-warmup", "1s",
	}
	if t != nil {
		args = append(args, "-access-key", t.keyID, "-secret-key", t.secret)
	}
	cmd := exec.Command(filepath.Join(b.dir, "kmsload"), append(args, l.extra...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("kmsload: %w", err)
	}
	var r result
	if err := json.Unmarshal(out, &r); err != nil {
		return result{}, err
	}
	if r.Non2xx > 0 || r.Errors > 0 {
		return result{}, fmt.Errorf("%s with %d connections: %d answers were not 2xx, %d connections failed (%s)", l.target, l.conns, r.Non2xx, r.Errors, r.First)
	}
	return r, nil
}

// medians takes the median of each figure.
func medians(rs []result) result {
	of := func(f func(result) float64) float64 {
		v := make([]float64, len(rs))
		for i, r := range rs {
			v[i] = f(r)
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return result{
		CPU: of(func(r result) float64 { return r.CPU }), Rate: of(func(r result) float64 { return r.Rate }),
		P50: of(func(r result) float64 { return r.P50 }), P99: of(func(r result) float64 { return r.P99 }),
		RSS: of(func(r result) float64 { return r.RSS }), PeakRSS: of(func(r result) float64 { return r.PeakRSS }),
	}
}

// cpuModel is what the machine says of itself.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// fileSystem is the kind of file system that dir lies on.
func fileSystem(dir string) string {
	out, err := exec.Command("stat", "-f", "-c", "%T", dir).Output()
	if err != nil {
		return "unknown file system"
	}
	return strings.TrimSpace(string(out))
}
