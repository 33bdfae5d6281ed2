package main

import (
	"fmt"
	"text/tabwriter"
)

// requests compares the cost of a request with that of a bare net/http server.
func (b *bench) requests() error {
	for _, secure := range []bool{false, true} {
		if err := b.requestsOver(secure); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) requestsOver(secure bool) error {
	bare, err := b.startBare("bare", secure)
	if err != nil {
		return err
	}
	defer bare.stop()
	floor, err := b.startBare("floor", secure)
	if err != nil {
		return err
	}
	defer floor.stop()
	t, err := b.newTrent("requests-"+schemeOf(secure), secure)
	if err != nil {
		return err
	}
	defer t.stop()
	loads, err := b.loads(t)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "requests over %s; CPU is the server's, user and system, in µs a request; ratios are to bare net/http in the same run\n", schemeOf(secure))
	w := tabwriter.NewWriter(b.out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "server\tconnections\tCPU\tratio\trequests/s\tp50 µs\tp99 µs\t")
	for _, conns := range []int{64, 8, 1} {
		if err := b.compare(w, bare, floor, t, loads, conns); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// loads are the actions that are measured.
func (b *bench) loads(t *trent) ([]load, error) {
	var key struct{ KeyId string }
	if err := b.call(t, &key, "key", "create", "--alias", "bench"); err != nil {
		return nil, err
	}
	var data struct{ CiphertextBlob string }
	if err := b.call(t, &data, "datakey", "alias/bench"); err != nil {
		return nil, err
	}
	return []load{
		{target: "GenerateDataKey", body: `{"KeyId":"alias/bench","KeySpec":"AES_256"}`},
		{target: "Encrypt", body: `{"KeyId":"alias/bench","Plaintext":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}`},
		{target: "Decrypt", body: `{"CiphertextBlob":"` + data.CiphertextBlob + `"}`},
	}, nil
}

// compare measures all servers in turn, several times, and prints medians.
func (b *bench) compare(w *tabwriter.Writer, bare, floor *process, t *trent, loads []load, conns int) error {
	var bares, floors []result
	trents := make([][]result, len(loads))
	for range b.rounds {
		l := loads[0]
		l.conns = conns
		for _, other := range []struct {
			p   *process
			out *[]result
		}{{bare, &bares}, {floor, &floors}} {
			r, err := b.drive(other.p, nil, l)
			if err != nil {
				return err
			}
			*other.out = append(*other.out, r)
		}
		for i, l := range loads {
			l.conns = conns
			r, err := b.drive(t.process, t, l)
			if err != nil {
				return err
			}
			trents[i] = append(trents[i], r)
		}
	}
	base := medians(bares)
	row := func(name string, r result) {
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.2f\t%.0f\t%.0f\t%.0f\t\n", name, conns, r.CPU, r.CPU/base.CPU, r.Rate, r.P50, r.P99)
	}
	row("bare net/http", base)
	row("net/http, same cryptography", medians(floors))
	for i, l := range loads {
		row("Trent "+l.target, medians(trents[i]))
	}
	return nil
}
