// Package config is what can be set. The comments of its structs are the
// manual: each setting is also a flag (--audit-sync), an environment variable
// (TRENT_AUDIT_SYNC) and a line of the configuration file (audit-sync: true).
// A flag wins over the environment, the environment over the file. A variable
// that is set to nothing counts as not set.
package config

import "time"

// Store says where the data of this deployment lies.
type Store struct {
	// Dir is the data directory. It holds root.key (the root of trust: without it
	// nothing in the store can be read), trent.db (the store, sealed),
	// audit.log and admin.credentials. Only its owner may read it.
	Dir string `name:"dir" short:"d" default:"trent-data" placeholder:"DIR" env:"TRENT_DIR" help:"Data directory."`

	// RootKey is the file of the root of trust, if it is to lie elsewhere than in
	// the data directory: on another volume, say, so that a copy of the one is
	// of no use without the other.
	RootKey string `name:"root-key" placeholder:"FILE" env:"TRENT_ROOT_KEY" help:"Root of trust; default DIR/root.key."`

	// Kind is what keeps the records: bolt, one file in the data directory; or etcd, a cluster
	// that any number of nodes share (docs/clusters.md). A node on etcd keeps no records of its
	// own: its data directory has root.key, which must be the same on all nodes, and audit.log.
	Kind string `name:"store" default:"bolt" enum:"bolt,etcd" env:"TRENT_STORE" help:"What keeps the records: bolt or etcd."`

	// EtcdEndpoints are the members of the etcd cluster, all of them if you can: a node goes on
	// as long as it reaches one that has a leader. They must be https unless they are loopback.
	// The servers must be of version 3.7.1 or later, or of 3.6.14 or later of the 3.6 line.
	EtcdEndpoints []string `name:"etcd-endpoints" default:"http://127.0.0.1:2379" placeholder:"URL" env:"TRENT_ETCD_ENDPOINTS" help:"Members of the etcd cluster."`

	// EtcdCA is a PEM file of the certificates that certify etcd's servers; default: those of
	// the system. EtcdCert and EtcdKey are PEM files of the certificate by which etcd knows
	// Trent, and its key: both or neither. They are read again when the certificate file changes.
	EtcdCA   string `name:"etcd-ca" placeholder:"FILE" env:"TRENT_ETCD_CA" help:"CAs of etcd's servers, PEM."`
	EtcdCert string `name:"etcd-cert" placeholder:"FILE" env:"TRENT_ETCD_CERT" help:"Client certificate for etcd, PEM."`
	EtcdKey  string `name:"etcd-key" placeholder:"FILE" env:"TRENT_ETCD_KEY" help:"Key of the client certificate, PEM."`

	// EtcdUser is the user of etcd's own authentication, if it is on, and EtcdPasswordFile the
	// file of its password. The user needs readwrite on the prefix and nothing else.
	EtcdUser         string `name:"etcd-user" placeholder:"NAME" env:"TRENT_ETCD_USER" help:"User of etcd."`
	EtcdPasswordFile string `name:"etcd-password-file" placeholder:"FILE" env:"TRENT_ETCD_PASSWORD_FILE" help:"File of that user's password."`

	// EtcdPrefix is what all keys of this deployment begin with in etcd. Two deployments may
	// share a cluster under prefixes of which none begins with the other.
	EtcdPrefix string `name:"etcd-prefix" default:"trent/" placeholder:"PREFIX" env:"TRENT_ETCD_PREFIX" help:"Prefix of all keys in etcd."`

	// EtcdTimeout is how long etcd may take for an answer. A change that has none by then
	// fails, and may have been made all the same.
	EtcdTimeout time.Duration `name:"etcd-timeout" default:"5s" env:"TRENT_ETCD_TIMEOUT" help:"Time for an answer of etcd."`

	// Roots are the roots of trust, in the order in which a start tries them: the
	// first one that opens the store does. Each is KIND, KIND:PLACE or
	// KIND:PLACE?NAME=VALUE (docs/roots.md); a comma in one is written %2C. By
	// default it is file, which is the file of RootKey.
	Roots []string `name:"root" placeholder:"KIND:PLACE" env:"TRENT_ROOT" help:"Roots of trust, tried in this order; default file."`
}

// Init is what is decided once, when a store is made, and kept in it.
type Init struct {
	// Account is the 12-digit account that the first administrator belongs to. It
	// is part of every ARN.
	Account string `name:"account" default:"111122223333" placeholder:"ID" env:"TRENT_ACCOUNT" help:"Account id, 12 digits, of a new store."`

	// Partition is the first part of every ARN: aws, aws-cn or aws-us-gov.
	// Clients compare it with what they expect, so leave it unless yours do.
	Partition string `name:"partition" default:"aws" enum:"aws,aws-cn,aws-us-gov" env:"TRENT_PARTITION" help:"ARN partition of a new store: aws, aws-cn or aws-us-gov."`
}

// Serve is how the server runs.
type Serve struct {
	// Listen is the address to listen on. Anything but a loopback address wants
	// TLS: plaintext data keys cross that connection.
	Listen string `name:"listen" default:"127.0.0.1:7666" placeholder:"ADDR" env:"TRENT_LISTEN" help:"Address to listen on."`

	// TLSCert and TLSKey are PEM files with the certificate chain and its key. Give
	// both or neither. They are read again when the certificate file changes.
	TLSCert string `name:"tls-cert" placeholder:"FILE" env:"TRENT_TLS_CERT" help:"Certificate chain, PEM."`
	TLSKey  string `name:"tls-key" placeholder:"FILE" env:"TRENT_TLS_KEY" help:"Key of the certificate, PEM."`

	// InsecurePlaintext allows a listen address that is not loopback without
	// TLS, for a TLS terminator on the same trusted network.
	InsecurePlaintext bool `name:"insecure-plaintext" env:"TRENT_INSECURE_PLAINTEXT" help:"Allow plain HTTP on an address that is not loopback."`

	// Regions are the Region names that requests may be signed for; "*" takes any. The
	// Region of a request is part of the ARNs of the keys that it makes, and a
	// key is found only in its own.
	Regions []string `name:"regions" default:"*" placeholder:"REGION" env:"TRENT_REGIONS" help:"Accepted Regions, or *."`

	// TrustedProxies are networks (10.0.0.0/8) or addresses of proxies in front of
	// Trent. What they say in X-Forwarded-For and X-Forwarded-Proto is believed, and is what
	// aws:SourceIp and aws:SecureTransport in policies and the audit record tell of. Of anybody
	// else these headers are ignored.
	TrustedProxies []string `name:"trusted-proxies" placeholder:"CIDR" env:"TRENT_TRUSTED_PROXIES" help:"Proxies whose X-Forwarded-For is believed."`

	// OIDCCA is a PEM file of certificates that are trusted, beside those of the system, to
	// certify the issuers of OpenID Connect tokens: that of an issuer of one's own.
	OIDCCA string `name:"oidc-ca" placeholder:"FILE" env:"TRENT_OIDC_CA" help:"Further CAs of OpenID Connect issuers, PEM."`

	// OIDCAllowHTTPLoopback lets such issuers be on loopback addresses, with TLS or
	// without. It is for tests and labs: whoever may register issuers could else lead
	// Trent to what listens on its own machine.
	OIDCAllowHTTPLoopback bool `name:"oidc-allow-http-loopback" env:"TRENT_OIDC_ALLOW_HTTP_LOOPBACK" help:"Allow OpenID Connect issuers on loopback, also by HTTP."`

	// XKSCA is a PEM file of certificates that are trusted, beside those of the system, to certify the
	// proxies of external key stores: that of a proxy of one's own.
	XKSCA string `name:"xks-ca" placeholder:"FILE" env:"TRENT_XKS_CA" help:"Further CAs of external key store proxies, PEM."`

	// XKSProxies are proxies of external key stores that are reached elsewhere than at port 443 of
	// their endpoint: HOST=ADDRESS:PORT, where HOST is that of the endpoint, to which the proxy's
	// certificate must belong all the same. It is also the only way to a proxy on a loopback or a
	// link-local address: whoever may make key stores could else lead Trent to what listens on its
	// own machine.
	XKSProxies []string `name:"xks-proxy" placeholder:"HOST=ADDRESS" env:"TRENT_XKS_PROXY" help:"Where the external key store proxy of a host is; may be given again."`

	// XKSHosts are the only hosts that the endpoints of external key stores may name; by default any. Whoever may
	// make key stores can else find out what listens at port 443 of the network that Trent is in.
	XKSHosts []string `name:"xks-hosts" placeholder:"HOST" env:"TRENT_XKS_HOSTS" help:"Hosts that may be external key store proxies; default: any."`

	// XKSTimeout is how long such a proxy may take for an answer; keys in external key stores make
	// a request take as much longer.
	XKSTimeout time.Duration `name:"xks-timeout" default:"250ms" env:"TRENT_XKS_TIMEOUT" help:"Time for an answer of an external key store proxy."`

	// AttestationRoots are further roots of attestation documents, each with a label that
	// the audit record names: LABEL=FILE, where the file is a certificate in PEM or DER with
	// a P-384 key. That of AWS Nitro is trusted, as "aws-g1", unless AttestationWithoutAWS is
	// set.
	AttestationRoots      []string `name:"attestation-root" placeholder:"LABEL=FILE" env:"TRENT_ATTESTATION_ROOT" help:"Further root of attestation documents; may be given again."`
	AttestationWithoutAWS bool     `name:"attestation-without-aws" env:"TRENT_ATTESTATION_WITHOUT_AWS" help:"Do not trust the root of AWS Nitro."`

	// AttestationDevRoot is a root that trent attest dev-root made, to try things out
	// with: whoever has its file makes documents that say anything. The log warns of it
	// at the start, and each audit record of what it vouched for has "development":true.
	AttestationDevRoot string `name:"attestation-dev-root" placeholder:"FILE" env:"TRENT_ATTESTATION_DEV_ROOT" help:"Development root of attestation documents: vouches for nothing."`

	// AttestationMaxAge is how old a document may be, and AttestationSkew how far ahead of
	// the server's clock the clock that made it may be.
	AttestationMaxAge time.Duration `name:"attestation-max-age" default:"5m" env:"TRENT_ATTESTATION_MAX_AGE" help:"Greatest age of an attestation document."`
	AttestationSkew   time.Duration `name:"attestation-skew" default:"60s" env:"TRENT_ATTESTATION_SKEW" help:"How far ahead its clock may be."`

	// AttestationAllowDebug takes documents of enclaves in debug mode, whose measurements are
	// zeros, as AWS KMS does. By default they are refused: a policy without conditions would
	// be content with them, and whoever runs such an enclave reads its memory.
	AttestationAllowDebug bool `name:"attestation-allow-debug" env:"TRENT_ATTESTATION_ALLOW_DEBUG" help:"Take documents of enclaves in debug mode."`

	// CacheKeys bounds how many keys are kept unsealed in memory, about 400 bytes
	// each. A key that is not there costs some 6 µs more.
	CacheKeys int `name:"cache-keys" default:"131072" placeholder:"N" env:"TRENT_CACHE_KEYS" help:"Keys kept unsealed in memory."`

	// MaxStaleness bounds how far a node on etcd may be behind the others: what was revoked on
	// one of them longer ago is refused on all. A node that cannot show that it keeps to it, because
	// it does not reach etcd, answers KeyUnavailableException. A store that is a file has one
	// node, which is never behind.
	MaxStaleness time.Duration `name:"max-staleness" default:"2s" env:"TRENT_MAX_STALENESS" help:"How far a node on etcd may be behind."`

	// MetricsListen is where the metrics are, for Prometheus: GET /metrics, in clear and without
	// signature, so let it be an address that only its readers reach. They name no key and no
	// account. By default there are none.
	MetricsListen string `name:"metrics-listen" placeholder:"ADDRESS" env:"TRENT_METRICS_LISTEN" help:"Address of the metrics, such as 127.0.0.1:7667; default: none."`

	// AuditFile gets a line for every answered request; default DIR/audit.log.
	// It may be renamed at any time: a new one is begun within a second.
	AuditFile string `name:"audit-file" placeholder:"FILE" env:"TRENT_AUDIT_FILE" help:"Audit log; default DIR/audit.log."`

	// AuditSync makes every answer wait until its record is on the disk, so that
	// the record survives a power cut, and not only the death of the process.
	// Requests that arrive together share a sync.
	AuditSync bool `name:"audit-sync" env:"TRENT_AUDIT_SYNC" help:"Sync the audit log before each answer."`

	// AuditFailOpen lets answers leave when their record cannot be written. By
	// default they are refused: no use of a key without a record of it.
	AuditFailOpen bool `name:"audit-fail-open" env:"TRENT_AUDIT_FAIL_OPEN" help:"Answer even if the audit record cannot be written."`

	// Anchors are places outside of the store that keep how far it has come, so that a start
	// notices if all of it was put back to an older state: file:PLACE on another volume,
	// s3://BUCKET/KEY?region=NAME, or tpm. docs/operations.md says how to choose. Each is moved on within
	// seconds of a change (tpm: ten minutes) and at the end of the server. At the start at least one
	// that holds anything must answer, and none may say that the store was put back.
	Anchors []string `name:"anchor" placeholder:"KIND:PLACE" env:"TRENT_ANCHOR" help:"Where to keep how far the store has come; may be given again."`

	// AcceptRollback goes on with a store that was put back to an older state, or for which no
	// anchor vouches: it begins a new epoch, in which sessions and grant tokens of before are
	// void, and the audit has a record of it. Give it for one start, not for good.
	AcceptRollback bool `name:"accept-rollback" help:"Once: serve a store that was put back to an older state."`

	// BackupDir is a directory, of this node alone and not on the store's own disk, into which a backup is
	// written every BackupEvery: trent-TIME.backup, encrypted under the store's root key, mode 0600. It is read again and
	// verified before it has that name. The BackupKeep newest stay. By default there are none; docs/backup.md.
	BackupDir   string        `name:"backup-dir" placeholder:"DIR" env:"TRENT_BACKUP_DIR" help:"Directory for scheduled backups; default: there are none."`
	BackupEvery time.Duration `name:"backup-every" default:"24h" env:"TRENT_BACKUP_EVERY" help:"Time from one scheduled backup to the next, one minute at least."`
	BackupKeep  int           `name:"backup-keep" default:"7" placeholder:"N" env:"TRENT_BACKUP_KEEP" help:"Scheduled backups to keep."`

	// RootProbe is how often each root of trust that needs no person is asked to open the
	// store, so that a lost one is known of before the next start. The log has a line when
	// that changes. 0 is never.
	RootProbe time.Duration `name:"root-probe" default:"5m" env:"TRENT_ROOT_PROBE" help:"Time between probes of the roots of trust; 0: never."`

	// HeaderTimeout, RequestTimeout and IdleTimeout bound how long a peer may take
	// to send a header, to send a whole request, and between two requests.
	HeaderTimeout  time.Duration `name:"header-timeout" default:"5s" env:"TRENT_HEADER_TIMEOUT" help:"Time to send a request header."`
	RequestTimeout time.Duration `name:"request-timeout" default:"15s" env:"TRENT_REQUEST_TIMEOUT" help:"Time to send a request."`
	IdleTimeout    time.Duration `name:"idle-timeout" default:"120s" env:"TRENT_IDLE_TIMEOUT" help:"Time between requests of a connection."`

	// MaxConnections bounds the connections that are open at once; further ones
	// wait. MaxConnectionsPerAddress bounds those of one address; further ones
	// are closed. Raise it where all clients come by way of one proxy; 0 is no
	// bound of its own.
	MaxConnections           int `name:"max-connections" default:"16384" placeholder:"N" env:"TRENT_MAX_CONNECTIONS" help:"Open connections."`
	MaxConnectionsPerAddress int `name:"max-connections-per-address" default:"4096" placeholder:"N" env:"TRENT_MAX_CONNECTIONS_PER_ADDRESS" help:"Open connections of one address; 0: no bound."`

	// ShutdownGrace is how long requests in flight may take to finish after
	// SIGTERM.
	ShutdownGrace time.Duration `name:"shutdown-grace" default:"20s" env:"TRENT_SHUTDOWN_GRACE" help:"Time for requests in flight to finish."`

	// Declare is a file of accounts, principals, policies, keys, aliases and grants that
	// are to be there (docs/spec/declaration.md). It is applied before the server
	// listens; if that fails, the server does not start.
	Declare string `name:"declare" placeholder:"FILE" env:"TRENT_DECLARE" help:"Declaration to apply before serving."`

	// Dev is for laptops and tests: declarations may have fixed key ids, materials and
	// access keys, which others may know. Only a loopback address is listened on, every
	// answer has the header x-trent-mode: dev, and the store remembers.
	Dev bool `name:"dev" env:"TRENT_DEV" help:"Dev mode: take fixed keys, on a loopback address alone."`

	// FIPS makes the server keep to the FIPS 140-3 module of Go, and refuse what that
	// does not have: keys of the specs ECC_SECG_P256K1, ML_DSA_* and ML_KEM_512, and
	// RSAES_OAEP_SHA_1. It wants a binary that make build-fips has built.
	FIPS bool `name:"fips" env:"TRENT_FIPS" help:"Keep to the FIPS 140-3 module."`

	// LogFormat and LogLevel shape the server's own log on standard error, which
	// tells of the server and never of what is in requests.
	LogFormat string `name:"log-format" default:"text" enum:"text,json" env:"TRENT_LOG_FORMAT" help:"Form of the log: text or json."`
	LogLevel  string `name:"log-level" default:"info" enum:"debug,info,warn,error" env:"TRENT_LOG_LEVEL" help:"Least level to log: debug, info, warn or error."`
}
