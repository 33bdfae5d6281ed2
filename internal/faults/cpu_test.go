package faults

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"trent/trenttest/process"
)

// cpuRounds says, in the environment, how often to measure each of the two.
const cpuRounds = "TRENT_CPU_ROUNDS"

// TestCPU measures what GenerateDataKey costs a node on etcd against one on a file, in turn.
func TestCPU(t *testing.T) {
	rounds := many(cpuRounds, 0)
	if rounds == 0 {
		t.Skip("processor time is only worth measuring on a machine that does nothing else: make torture does")
	}
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir, "trent/bench/kmsload").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	alone := &world{t: t, binary: filepath.Join(dir, "trent")}
	var err error
	if alone.binary, err = process.Build(dir); err != nil {
		t.Fatal(err)
	}
	n := alone.newNode(0, false)
	if alone.keyID, alone.secret, err = process.Init(alone.binary, n.dir); err != nil {
		t.Fatal(err)
	}
	alone.nodes = []*node{n}
	n.start(t) // before the settings of the other are in the environment
	t.Cleanup(func() { n.srv.Kill() })
	shared := newWorld(t, false, 1)
	var file, etcd []float64
	ids := [2]string{newKeyOn(t, alone), newKeyOn(t, shared)}
	for range rounds {
		file = append(file, alone.cpu(t, dir, ids[0]))
		etcd = append(etcd, shared.cpu(t, dir, ids[1]))
	}
	slices.Sort(file)
	slices.Sort(etcd)
	a, b := file[rounds/2], etcd[rounds/2]
	t.Logf("GenerateDataKey, processor time of a request, median of %d: %.2f µs on a file, %.2f µs on etcd, ratio %.3f", rounds, a, b, b/a)
	if b/a > 1.25 { // the figure that is wanted is 1.05; a shared machine scatters
		t.Errorf("etcd costs %.2f times as much", b/a)
	}
}

// cpu is the processor time of the first node for one request, in µs.
func (w *world) cpu(t *testing.T, dir, id string) float64 {
	t.Helper()
	cmd := exec.Command(filepath.Join(dir, "kmsload"), "-json", "-url", w.nodes[0].url()+"/", "-server-pid", w.nodes[0].srv.PID(), "-target", "TrentService.GenerateDataKey",
		"-body", `{"KeyId":"`+id+`","KeySpec":"AES_256"}`, "-conns", "64", "-duration", "3s", "-warmup", "1s", "-access-key", w.keyID, "-secret-key", w.secret)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kmsload: %v", err)
	}
	var r struct {
		CPU    float64 `json:"server_cpu_us_per_request"`
		Non2xx uint64  `json:"non_2xx"`
	}
	if err := json.Unmarshal(out, &r); err != nil || r.Non2xx > 0 || r.CPU <= 0 {
		t.Fatalf("kmsload: %s, %v", out, err)
	}
	return r.CPU
}
