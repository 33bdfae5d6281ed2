package action

// Table returns every action that Trent performs, by name.
func Table() map[string]*Entry {
	table := make(map[string]*Entry)
	for _, family := range [][]*Entry{keys(), rotation(), imports(), encrypt(), dataKeys(), keyPairs(), sign(), macs(), agree(), aliases(), tags(), policies(), grants(), lastUse(), regions(), keyStores()} {
		for _, e := range family {
			table[e.Op.Name] = e
		}
	}
	return table
}

// NotYet lists the operations of the model that are answered with
// UnsupportedOperationException, each with the reason. There are none left: one that a newer model
// brings stands here until it is performed.
func NotYet() map[string]string { return nil }
