package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"trent/internal/recipient"
	"trent/internal/recipient/devroot"
	"trent/internal/recipient/nitro"
	"trent/internal/secret"
)

// attested measures what attestation documents cost, and what they cost those who send
// none.
func (b *bench) attested() error {
	e, err := newEnclaves(b.dir)
	if err != nil {
		return err
	}
	if err := e.micro(b); err != nil {
		return err
	}
	t, err := b.newTrent("attested", false, "--attestation-dev-root", e.rootFile)
	if err != nil {
		return err
	}
	defer t.stop()
	if _, err := b.loads(t); err != nil {
		return err
	}
	if err := b.warmDocuments(t, e); err != nil {
		return err
	}
	return b.floods(t, e)
}

// enclaves make documents under a development root.
type enclaves struct {
	dir, rootFile string
	root          *devroot.Root
	spki          []byte
	key           *recipient.PublicKey
}

func newEnclaves(dir string) (*enclaves, error) {
	root, err := devroot.New(time.Now())
	if err != nil {
		return nil, err
	}
	e := &enclaves{dir: dir, rootFile: filepath.Join(dir, "attestation-root.pem"), root: root}
	content, err := root.PEM()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(e.rootFile, content, 0o600); err != nil {
		return nil, err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	e.spki, err = x509.MarshalPKIXPublicKey(&key.PublicKey)
	e.key = &recipient.PublicKey{RSA: &key.PublicKey, SPKI: e.spki}
	return e, err
}

// documents makes n documents, all different. Each module signs so many of them: one
// alone is a chain that nobody has seen before.
func (e *enclaves) documents(n, each int) ([][]byte, error) {
	now := time.Now()
	var module *devroot.Module
	var all [][]byte
	for i := range n {
		var err error
		if i%each == 0 {
			if module, err = e.root.NewModule(fmt.Sprintf("i-bench-enc%d", i), now); err != nil {
				return nil, err
			}
		}
		pcr := make([]byte, 48)
		rand.Read(pcr)
		doc, err := module.Sign(devroot.Content{Time: now, PCRs: map[int][]byte{0: pcr, 1: pcr, 2: pcr, 3: pcr, 4: pcr, 8: pcr}, PublicKey: e.spki})
		if err != nil {
			return nil, err
		}
		all = append(all, doc)
	}
	return all, nil
}

// write puts documents into a file, a line each in base64, and gives its name.
func (e *enclaves) write(name string, documents [][]byte) (string, error) {
	var lines strings.Builder
	for _, d := range documents {
		lines.WriteString(base64.StdEncoding.EncodeToString(d) + "\n")
	}
	path := filepath.Join(e.dir, name)
	return path, os.WriteFile(path, []byte(lines.String()), 0o600)
}

// micro measures the parts, in this process.
func (e *enclaves) micro(b *bench) error {
	documents, err := e.documents(50, 1)
	if err != nil {
		return err
	}
	settings := nitro.Settings{Roots: []nitro.Root{e.root.Trusted()}, MaxAge: time.Hour}
	verifier, err := nitro.New(settings)
	if err != nil {
		return err
	}
	atOnce := func(_ recipient.Cost, work func()) error { work(); return nil }
	verify := func(v *nitro.Verifier, doc []byte) error {
		_, err := v.Verify(doc, time.Now(), atOnce)
		return err
	}
	if err := verify(verifier, documents[0]); err != nil {
		return err
	}
	w := tabwriter.NewWriter(b.out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(b.out, "attestation documents, one processor")
	fmt.Fprintln(w, "what\tµs\tallocations\t")
	for _, part := range []struct {
		name string
		do   func() error
	}{
		{"verify, chain not known", func() error {
			cold, err := nitro.New(settings)
			if err != nil {
				return err
			}
			return verify(cold, documents[0])
		}},
		{"verify, chain known", func() error { return verify(verifier, documents[0]) }},
		{"envelope of 32 bytes to RSA-2048", func() error {
			_, err := e.key.Seal(secret.New(make([]byte, 32)))
			return err
		}},
	} {
		var failed error
		r := testing.Benchmark(func(tb *testing.B) {
			tb.ReportAllocs()
			for tb.Loop() {
				if failed = part.do(); failed != nil {
					tb.FailNow()
				}
			}
		})
		if failed != nil {
			return fmt.Errorf("%s: %w", part.name, failed)
		}
		fmt.Fprintf(w, "%s\t%.0f\t%d\t\n", part.name, float64(r.NsPerOp())/1e3, r.AllocsPerOp())
	}
	fmt.Fprintln(w)
	return w.Flush()
}

const attestedBody = `{"KeyId":"alias/bench","KeySpec":"AES_256","Recipient":{"AttestationDocument":"{line}","KeyEncryptionAlgorithm":"RSAES_OAEP_SHA_256"}}`

// warmDocuments measures GenerateDataKey with documents of which no two are the same, under
// one chain.
func (b *bench) warmDocuments(t *trent, e *enclaves) error {
	documents, err := e.documents(2048, 2048)
	if err != nil {
		return err
	}
	lines, err := e.write("warm", documents)
	if err != nil {
		return err
	}
	l := load{target: "GenerateDataKey", body: attestedBody, conns: 16, extra: []string{"-lines", lines}}
	var results []result
	for range b.rounds {
		r, err := b.drive(t.process, t, l)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	r := medians(results)
	fmt.Fprintf(b.out, "GenerateDataKey with a Recipient, chain known, %d connections: %.0f/s, %.0f µs of CPU each, p50 %.0f µs, p99 %.0f µs\n\n", l.conns, r.Rate, r.CPU, r.P50, r.P99)
	return nil
}

// floods measures plain GenerateDataKey while 64 clients send nothing but documents that
// are new or bad.
func (b *bench) floods(t *trent, e *enclaves) error {
	cold, err := e.documents(1024, 1)
	if err != nil {
		return err
	}
	garbage := make([][]byte, 256)
	for i := range garbage {
		garbage[i] = make([]byte, 4500)
		rand.Read(garbage[i])
	}
	good, err := e.documents(256, 256)
	if err != nil {
		return err
	}
	forged := make([][]byte, len(good))
	for i, d := range good {
		forged[i] = slices.Clone(d)
		forged[i][len(d)-1-i%96] ^= 1 // of the signature: all that goes before it is in order
	}
	fmt.Fprintln(b.out, "plain GenerateDataKey over 64 connections while 64 others send documents that are new or bad")
	w := tabwriter.NewWriter(b.out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "the others send\trequests/s\tshare of alone\tp99 µs\t")
	plain := load{target: "GenerateDataKey", body: `{"KeyId":"alias/bench","KeySpec":"AES_256"}`, conns: 64}
	kinds := []struct {
		name      string
		documents [][]byte
	}{{"nothing", nil}, {"chains that are new", cold}, {"garbage", garbage}, {"forged signatures under a known chain", forged}}
	results := make([][]result, len(kinds))
	for range b.rounds {
		for i, k := range kinds {
			r, err := b.driveBeside(t, e, plain, k.name, k.documents)
			if err != nil {
				return err
			}
			results[i] = append(results[i], r)
		}
	}
	alone := medians(results[0])
	for i, k := range kinds {
		r := medians(results[i])
		fmt.Fprintf(w, "%s\t%.0f\t%.2f\t%.0f\t\n", k.name, r.Rate, r.Rate/alone.Rate, r.P99)
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// driveBeside is drive while another load generator sends documents, which nobody counts.
func (b *bench) driveBeside(t *trent, e *enclaves, l load, name string, documents [][]byte) (result, error) {
	if documents == nil {
		return b.drive(t.process, t, l)
	}
	lines, err := e.write("flood", documents)
	if err != nil {
		return result{}, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	flood := exec.CommandContext(ctx, filepath.Join(b.dir, "kmsload"), "-json", "-url", t.url, "-target", "TrentService.GenerateDataKey", "-body", attestedBody,
		"-lines", lines, "-conns", strconv.Itoa(64), "-duration", "1h", "-pool", strconv.Itoa(len(documents)), "-access-key", t.keyID, "-secret-key", t.secret)
	if err := flood.Start(); err != nil {
		return result{}, fmt.Errorf("flood of %s: %w", name, err)
	}
	r, err := b.drive(t.process, t, l)
	cancel()
	_ = flood.Wait() // it was ended
	return r, err
}
