package main

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"trent/internal/recipient/devroot"
	"trent/internal/recipient/nitro"
)

type attestCmd struct {
	DevRoot  attestDevRootCmd  `cmd:"" help:"Make a root for attestation documents that attest nothing."`
	Document attestDocumentCmd `cmd:"" help:"Make an attestation document under such a root."`
	Show     attestShowCmd     `cmd:"" help:"Print what an attestation document says, and whether and why it would be believed."`
}

type attestDevRootCmd struct {
	Out string    `default:"attestation-dev-root.pem" placeholder:"FILE" help:"File to make; one that is there is never overwritten."`
	At  time.Time `placeholder:"TIME" help:"When its ten years begin, such as 2026-01-31T12:00:00Z; default: now."`
}

// Run implements the command.
func (c *attestDevRootCmd) Run(w *world) error {
	root, err := devroot.New(atOrNow(c.At))
	if err != nil {
		return err
	}
	content, err := root.PEM()
	if err != nil {
		return err
	}
	if err := writeNew(c.Out, content); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.stdout, `%[1]s is a development root: whoever has it makes documents that say what they like.

A server that is to believe them, and says so in each audit record:

  trent serve --attestation-dev-root %[1]s

A document for a public key:

  trent attest document --dev-root %[1]s --public-key FILE
`, c.Out)
	return err
}

// writeNew makes a file that only its owner may read.
func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already, and is not overwritten", path)
	} else if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

type attestDocumentCmd struct {
	DevRoot   string    `required:"" placeholder:"FILE" help:"Development root."`
	PublicKey string    `required:"" placeholder:"FILE" help:"RSA public key that answers are to be encrypted to: SubjectPublicKeyInfo, PEM or DER."`
	PCR       []string  `name:"pcr" sep:"none" placeholder:"N=HEX" help:"Value of a register; repeatable. The first ones have values of their own by default, the others are zero."`
	NitroTPM  bool      `name:"nitrotpm" help:"Make a document of a NitroTPM instead of an enclave."`
	ModuleID  string    `name:"module-id" default:"${module_id}" placeholder:"ID" help:"Module that makes the document."`
	At        time.Time `placeholder:"TIME" help:"When it is made, such as 2026-01-31T12:00:00Z; default: now."`
	Out       string    `default:"-" placeholder:"FILE" help:"File to write; default: - for standard output."`
}

// Run implements the command.
func (c *attestDocumentCmd) Run(w *world) error {
	content, err := os.ReadFile(c.DevRoot)
	if err != nil {
		return err
	}
	root, err := devroot.Parse(content)
	if err != nil {
		return fmt.Errorf("--dev-root %s: %w", c.DevRoot, err)
	}
	spki, err := readPublicKey(c.PublicKey)
	if err != nil {
		return fmt.Errorf("--public-key %s: %w", c.PublicKey, err)
	}
	registers := devroot.Registers(c.NitroTPM)
	for _, pair := range c.PCR {
		if err := setPCR(registers, pair); err != nil {
			return fmt.Errorf("--pcr %s: %w", pair, err)
		}
	}
	made := atOrNow(c.At)
	module, err := root.NewModule(c.ModuleID, made)
	if err != nil {
		return err
	}
	doc, err := module.Sign(devroot.Content{Time: made, PCRs: registers, NitroTPM: c.NitroTPM, PublicKey: spki})
	if err != nil {
		return err
	}
	if c.Out == "-" {
		_, err = w.stdout.Write(doc)
		return err
	}
	return os.WriteFile(c.Out, doc, 0o600)
}

func atOrNow(at time.Time) time.Time {
	if at.IsZero() {
		return time.Now()
	}
	return at
}

// setPCR sets one of the registers that there are.
func setPCR(registers map[int][]byte, pair string) error {
	name, digits, _ := strings.Cut(pair, "=")
	index, err := strconv.Atoi(name)
	value, bad := hex.DecodeString(digits)
	if err != nil || bad != nil || len(value) != 48 {
		return errors.New("want N=HEX with 96 hexadecimal digits, such as those that nitro-cli build-enclave prints")
	}
	if _, ok := registers[index]; !ok {
		return fmt.Errorf("there are registers 0 to %d", len(registers)-1)
	}
	registers[index] = value
	return nil
}

// readPublicKey reads a public key and gives its SubjectPublicKeyInfo. Whether a server
// takes it is the server's business.
func readPublicKey(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	der := content
	if block, _ := pem.Decode(content); block != nil {
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("this is a %s; want a PUBLIC KEY, as openssl pkey -pubout prints", strings.ToLower(block.Type))
		}
		der = block.Bytes
	}
	if _, err := x509.ParsePKIXPublicKey(der); err != nil {
		return nil, errors.New("want a SubjectPublicKeyInfo, PEM or DER, as openssl pkey -pubout prints")
	}
	return der, nil
}

type attestShowCmd struct {
	File    string    `arg:"" help:"Document, as it is or in base64."`
	Root    []string  `sep:"none" placeholder:"LABEL=FILE" help:"Root to believe beside that of AWS, PEM or DER; repeatable."`
	DevRoot string    `placeholder:"FILE" help:"Development root to believe."`
	At      time.Time `placeholder:"TIME" help:"When to look at it, such as 2026-01-31T12:00:00Z; default: now."`
	Output  string    `name:"output" short:"o" default:"table" enum:"table,json" env:"TRENT_OUTPUT" help:"Form of what is printed: table or json."`
}

// Run implements the command. It fails if the document would not be accepted.
func (c *attestShowCmd) Run(w *world) error {
	doc, err := readDocument(c.File)
	if err != nil {
		return err
	}
	roots, err := c.roots()
	if err != nil {
		return err
	}
	v, err := nitro.New(nitro.Settings{Roots: roots, MaxAge: nitro.DefaultMaxAge, MaxSkew: nitro.DefaultMaxSkew})
	if err != nil {
		return err
	}
	e := v.Explain(doc, atOrNow(c.At))
	if c.Output == "json" {
		err = printJSON(w.stdout, e)
	} else {
		err = printDocument(w.stdout, e)
	}
	if err == nil && !e.Accepted {
		err = errors.New("a server with these roots and no other settings refuses the document")
	}
	return err
}

// readDocument reads a document as it is or in base64, as it stands in requests. No
// document begins with a letter.
func readDocument(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	plain, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(content)))
	if err != nil || len(plain) == 0 {
		return content, nil
	}
	return plain, nil
}

func (c *attestShowCmd) roots() ([]nitro.Root, error) {
	roots := []nitro.Root{nitro.AWS()}
	for _, pair := range c.Root {
		label, path, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fmt.Errorf("--root %s: want LABEL=FILE", pair)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		r, err := nitro.LoadRoot(label, content)
		if err != nil {
			return nil, fmt.Errorf("--root %s: %w", pair, err)
		}
		roots = append(roots, r)
	}
	if c.DevRoot == "" {
		return roots, nil
	}
	content, err := os.ReadFile(c.DevRoot)
	if err != nil {
		return nil, err
	}
	r, err := nitro.LoadDevelopmentRoot(content)
	if err != nil {
		return nil, fmt.Errorf("--dev-root %s: %w", c.DevRoot, err)
	}
	return append(roots, r), nil
}

// printDocument prints the decision, what each check says, and then what the document
// says.
func printDocument(out io.Writer, e *nitro.Explanation) error {
	verdict := "REFUSED"
	if e.Accepted {
		verdict = "ACCEPTED"
	}
	fmt.Fprintln(out, verdict)
	var rows [][]string
	for _, v := range e.Checks {
		reason := v.Reason
		if v.Cause != "" {
			reason += " (" + v.Cause + ")"
		}
		rows = append(rows, []string{v.Check, v.Result, reason})
	}
	fmt.Fprintln(out)
	if err := printTable(out, []string{"CHECK", "RESULT", "WHY"}, rows); err != nil || e.Contents == nil {
		return err
	}
	fmt.Fprintln(out)
	if err := printFacts(out, documentFacts(e)); err != nil {
		return err
	}
	rows = nil
	for _, c := range e.Certificates {
		rows = append(rows, []string{strings.TrimPrefix(c.Place, "the "), date(&c.NotBefore), date(&c.NotAfter), c.Subject})
	}
	if len(rows) > 0 {
		fmt.Fprintln(out)
		if err := printTable(out, []string{"CERTIFICATE", "VALID FROM", "UNTIL", "SUBJECT"}, rows); err != nil {
			return err
		}
	}
	rows = nil
	for _, r := range e.Contents.Measurements {
		rows = append(rows, []string{r.Name, registerShown(r.Value)})
	}
	fmt.Fprintln(out)
	return printTable(out, []string{"REGISTER", "VALUE"}, rows)
}

// registerShown lets the registers that hold something stand out.
func registerShown(value string) string {
	if strings.Trim(value, "0") == "" {
		return fmt.Sprintf("%d bytes of zero", len(value)/2)
	}
	return value
}

func documentFacts(e *nitro.Explanation) []fact {
	root := e.Root
	if root == "" && len(e.Certificates) > 0 {
		root = "not known, SHA-256 " + e.Certificates[0].SHA256
	}
	key := e.Contents.PublicKey
	if e.Contents.KeyBits > 0 {
		key = fmt.Sprintf("RSA, %d bits", e.Contents.KeyBits)
	}
	return []fact{
		{"Kind", e.Contents.Kind}, {"Module", e.Contents.Module}, {"Time", e.Contents.Time.Format("2006-01-02 15:04:05.000Z")},
		{"Root", root}, {"Public key", key}, {"User data", e.Contents.UserData}, {"Nonce", e.Contents.Nonce},
	}
}
