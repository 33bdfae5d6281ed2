// Command nethttp is GenerateDataKey on net/http: SigV4, JSON, KDF, AES-GCM.
package main

import (
	"bytes"
	"crypto/tls"
	"flag"
	"log"
	"net/http"
	"strconv"
	"sync"

	"trent/bench/core"
)

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func main() {
	addr := flag.String("addr", "127.0.0.1:9002", "listen address")
	secure := flag.Bool("tls", false, "TLS with a throw-away certificate")
	flag.Parse()
	v := core.NewVerifier()
	serve(*addr, *secure, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := bodies.Get().(*bytes.Buffer)
		defer bodies.Put(buf)
		buf.Reset()
		if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, 1<<20)); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		err := v.Verify(r.Header.Get("Authorization"), r.Header.Get("X-Amz-Date"), func(name string) string {
			switch name {
			case "host":
				return r.Host
			case "content-length":
				return strconv.FormatInt(r.ContentLength, 10)
			}
			return r.Header.Get(name)
		}, buf.Bytes())
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		out, err := core.Answer(buf.Bytes())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/x-amz-json-1.1")
		h.Set("Content-Length", strconv.Itoa(len(out)))
		w.Write(out)
	}))
}

func serve(addr string, secure bool, h http.Handler) {
	s := &http.Server{Addr: addr, Handler: h}
	if !secure {
		log.Fatal(s.ListenAndServe())
	}
	c, err := core.SelfSigned()
	if err != nil {
		log.Fatal(err)
	}
	s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{c}}
	log.Fatal(s.ListenAndServeTLS("", ""))
}
