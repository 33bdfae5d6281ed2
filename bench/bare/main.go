// Command bare is the bare net/http floor: read the body of a POST, answer a
// fixed JSON of some 400 bytes.
package main

import (
	"crypto/tls"
	"flag"
	"io"
	"log"
	"net/http"
	"strconv"

	"trent/bench/core"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:9001", "listen address")
	secure := flag.Bool("tls", false, "TLS with a throw-away certificate")
	flag.Parse()
	length := strconv.Itoa(len(core.Fixed))
	serve(*addr, *secure, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		h := w.Header()
		h.Set("Content-Type", "application/x-amz-json-1.1")
		h.Set("Content-Length", length)
		w.Write(core.Fixed)
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
