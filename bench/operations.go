package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"trent/internal/api"
	"trent/internal/crypt"
)

// An operation is a request whose cost is mostly that of one primitive.
type operation struct {
	name      string
	spec      api.KeySpec
	usage     api.KeyUsage
	load      load
	primitive func(crypt.Key) error
}

const benchMessage = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=" // 32 bytes

func signing(spec api.KeySpec, algorithm api.SigningAlgorithm) operation {
	message := []byte("0123456789abcdef0123456789abcdef")
	return operation{
		name: "Sign " + string(spec), spec: spec, usage: api.KeyUsageSignVerify,
		load: load{target: "Sign", body: `"Message":"` + benchMessage + `","SigningAlgorithm":"` + string(algorithm) + `"`},
		primitive: func(k crypt.Key) error {
			_, err := k.(crypt.Signer).Sign(algorithm, api.MessageTypeRaw, message)
			return err
		},
	}
}

func pairing(spec api.KeySpec) operation {
	return operation{
		name: "GenerateDataKeyPair " + string(spec), spec: api.KeySpecSymmetricDefault, usage: api.KeyUsageEncryptDecrypt,
		load: load{target: "GenerateDataKeyPair", body: `"KeyPairSpec":"` + string(spec) + `"`},
		primitive: func(crypt.Key) error {
			private, err := crypt.Generate(spec)
			private.Wipe()
			return err
		},
	}
}

func operations() []operation {
	return []operation{
		signing(api.KeySpecRSA2048, api.SigningAlgorithmRSASSAPKCS1V15SHA256),
		signing(api.KeySpecECCNISTP256, api.SigningAlgorithmECDSASHA256),
		signing(api.KeySpecECCNISTEdwards25519, api.SigningAlgorithmED25519SHA512),
		signing(api.KeySpecMLDSA65, api.SigningAlgorithmMLDSASHAKE256),
		{
			name: "GenerateMac HMAC_256", spec: api.KeySpecHMAC256, usage: api.KeyUsageGenerateVerifyMac,
			load: load{target: "GenerateMac", body: `"Message":"` + benchMessage + `","MacAlgorithm":"HMAC_SHA_256"`},
			primitive: func(k crypt.Key) error {
				_, err := k.(crypt.Authenticator).Mac(api.MacAlgorithmHMACSHA256, make([]byte, 32))
				return err
			},
		},
		pairing(api.KeySpecECCNISTP256),
	}
}

// operations measures requests that do more than symmetric encryption, and what of their cost
// is not the primitive itself.
func (b *bench) operations() error {
	t, err := b.newTrent("operations", false)
	if err != nil {
		return err
	}
	defer t.stop()
	fmt.Fprintln(b.out, "operations over 64 connections; CPU is the server's in µs a request, beside that of the primitive alone on as many processors")
	w := tabwriter.NewWriter(b.out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "operation\trequests/s\tp50 µs\tCPU µs\tprimitive µs\tall else µs\t")
	for _, o := range operations() {
		if err := b.operation(w, t, o); err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := b.rsaPairs(t); err != nil {
		return err
	}
	return b.neighbours(t)
}

// neighbours measures plain GenerateDataKey while 64 clients have RSA-4096 signatures made.
func (b *bench) neighbours(t *trent) error {
	for _, args := range [][]string{{"--alias", "bench"}, {"--alias", "slow", "--spec", "RSA_4096", "--usage", "SIGN_VERIFY"}} {
		var made json.RawMessage
		if err := b.call(t, &made, append([]string{"key", "create"}, args...)...); err != nil {
			return err
		}
	}
	if err := t.process.rest(); err != nil {
		return err
	}
	plain := load{target: "GenerateDataKey", body: `{"KeyId":"alias/bench","KeySpec":"AES_256"}`, conns: 64}
	alone, err := b.drive(t.process, t, plain)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signers := exec.CommandContext(ctx, filepath.Join(b.dir, "kmsload"), "-json", "-url", t.url, "-target", "TrentService.Sign",
		"-body", `{"KeyId":"alias/slow","Message":"`+benchMessage+`","SigningAlgorithm":"RSASSA_PSS_SHA_256"}`, "-conns", "64", "-duration", "1h",
		"-access-key", t.keyID, "-secret-key", t.secret)
	if err := signers.Start(); err != nil {
		return err
	}
	beside, err := b.drive(t.process, t, plain)
	cancel()
	_ = signers.Wait() // it was ended
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "plain GenerateDataKey over 64 connections: %.0f/s alone, p99 %.0f µs; %.0f/s, p99 %.0f µs, while 64 others have RSA_4096 signatures made: %.2f\n\n",
		alone.Rate, alone.P99, beside.Rate, beside.P99, beside.Rate/alone.Rate)
	return nil
}

// operation measures the request and the primitive in turn, so that both meet the same machine.
func (b *bench) operation(w *tabwriter.Writer, t *trent, o operation) error {
	var key struct{ KeyId string }
	if err := b.call(t, &key, "key", "create", "--spec", string(o.spec), "--usage", string(o.usage)); err != nil {
		return err
	}
	o.load.body, o.load.conns = `{"KeyId":"`+key.KeyId+`",`+o.load.body+`}`, 64
	if err := t.process.rest(); err != nil {
		return err
	}
	var results []result
	var primitives []float64
	for range b.rounds {
		r, err := b.drive(t.process, t, o.load)
		if err != nil {
			return err
		}
		p, err := o.alone()
		if err != nil {
			return err
		}
		results, primitives = append(results, r), append(primitives, p)
	}
	slices.Sort(primitives)
	r, p := medians(results), primitives[len(primitives)/2]
	fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.1f\t%.1f\t%.1f\t\n", o.name, r.Rate, r.P50, r.CPU, p, r.CPU-p)
	return nil
}

// alone is the processor time that the primitive takes in this process, in µs, while every
// processor does it, as in the server: two that share a core are slower each.
func (o *operation) alone() (float64, error) {
	material, err := crypt.Generate(o.spec)
	if err != nil {
		return 0, err
	}
	k, err := crypt.New(o.spec, new(crypt.ClusterID), crypt.MaterialID{}, material)
	if err != nil {
		return 0, err
	}
	all := runtime.GOMAXPROCS(0)
	counts, failures := make(chan int, all), make(chan error, all)
	before, until := processorTime(), time.Now().Add(time.Second)
	for range all {
		go func() {
			n, err := 0, error(nil)
			for ; err == nil && time.Now().Before(until); n++ {
				err = o.primitive(k)
			}
			counts <- n
			failures <- err
		}()
	}
	done := 0
	for range all {
		done += <-counts
		err = errors.Join(err, <-failures)
	}
	return float64((processorTime() - before).Nanoseconds()) / 1e3 / float64(done), err
}

// processorTime is what this process has used so far, user and system.
func processorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Pairs are asked for at this rate, which one processor makes keys for.
const (
	pairsRate = 3 // a second
	pairsTime = 20 * time.Second
	pairsWarm = 5 * time.Second
)

// rsaPairs measures RSA key pairs, which are made ahead.
func (b *bench) rsaPairs(t *trent) error {
	l := load{target: "GenerateDataKeyPair", body: `{"KeyId":"alias/pairs","KeyPairSpec":"RSA_2048"}`, conns: 1,
		extra: []string{"-rate", fmt.Sprint(pairsRate), "-duration", pairsTime.String(), "-warmup", pairsWarm.String()}}
	var key json.RawMessage
	if err := b.call(t, &key, "key", "create", "--alias", "pairs"); err != nil {
		return err
	}
	if _, err := b.drive(t.process, t, load{target: l.target, body: l.body, conns: 1, extra: []string{"-requests", "1"}}); err != nil {
		return err
	}
	if err := t.process.rest(); err != nil {
		return err
	}
	r, err := b.drive(t.process, t, l)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "GenerateDataKeyPair RSA_2048, %d a second, made ahead: p50 %.0f µs, p99 %.0f µs\n\n", pairsRate, r.P50, r.P99)
	return nil
}
