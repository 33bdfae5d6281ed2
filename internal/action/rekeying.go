package action

import "time"

// Rekeying is how far a deployment has come with new root keys.
type Rekeying struct {
	UnderWay    bool
	Stage       RekeyStage
	Done, Total uint64 // records, of the pass that is under way
	Started     time.Time
	Retires     time.Time // when the old keys are dropped; zero: that is not known yet
}

// A RekeyStage is a stage of it.
type RekeyStage byte

// The stages.
const (
	RekeyPreparing RekeyStage = iota // every node learns of the new keys
	RekeySealing                     // everything is sealed again
	RekeyRetiring                    // the old keys have their grace
)
