package faults

func ownNetwork() error { return nil }
