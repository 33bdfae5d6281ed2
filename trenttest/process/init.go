package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Init makes a new data directory with trent init and gives the access key of
// its administrator.
func Init(binary, dir string) (keyID, secret string, err error) {
	if out, err := exec.Command(binary, "init", "--dir", dir).CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("trent init: %w\n%s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "admin.credentials"))
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(string(b)) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), " = "); name {
		case "aws_access_key_id":
			keyID = value
		case "aws_secret_access_key":
			secret = value
		}
	}
	if keyID == "" || secret == "" {
		return "", "", fmt.Errorf("%s holds no access key", dir)
	}
	return keyID, secret, nil
}
