// Command server is etcd itself, from its Go module, for the tests of
// trent/internal/store/etcd. It takes etcd's own flags.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
