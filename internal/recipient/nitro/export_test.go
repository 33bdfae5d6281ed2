package nitro

// NewBounded makes a verifier that remembers no more than so many chains.
func NewBounded(s Settings, most int) (*Verifier, error) {
	v, err := New(s)
	if err == nil {
		v.chains = newChains(most)
	}
	return v, err
}
