package xks

// ReadAnswer is readAnswer, for the answer to an Encrypt.
func ReadAnswer(status int, content []byte) (parts [5][]byte, err error) {
	var a encryptAnswer
	err = readAnswer(status, content, &a)
	return [5][]byte{a.Ciphertext, a.Metadata, a.IV, a.Tag, a.Integrity}, err
}

// CheckAddress is the rule about addresses that are dialled.
func CheckAddress(address string) error { return checkAddress("tcp", address, nil) }
