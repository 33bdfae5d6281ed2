package identity

// Remembered is how many opened session tokens are kept.
func (d *Directory) Remembered() int { return len(d.sessions.young) + len(d.sessions.old) }

// ForgetSessions lets all of them go.
func (d *Directory) ForgetSessions() { d.sessions.young, d.sessions.old = nil, nil }
