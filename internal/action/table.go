package action

// Table returns every action that Trent performs, by name.
func Table() map[string]*Entry {
	table := make(map[string]*Entry)
	for _, family := range [][]*Entry{keys(), rotation(), imports(), encrypt(), dataKeys(), keyPairs(), sign(), macs(), agree(), aliases(), tags(), policies(), grants(), lastUse(), keyStores()} {
		for _, e := range family {
			table[e.Op.Name] = e
		}
	}
	return table
}

// NotYet lists the operations of the model that are answered with
// UnsupportedOperationException, each with the reason. It shrinks to nothing.
func NotYet() map[string]string {
	const (
		multiRegion = "needs multi-Region keys"
	)
	return map[string]string{
		"ReplicateKey": multiRegion, "UpdatePrimaryRegion": multiRegion,
	}
}
