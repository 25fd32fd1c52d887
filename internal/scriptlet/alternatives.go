package scriptlet

// alternativesCommands are the commands that keep the links of alternatives.
func alternativesCommands() map[string]Command { return map[string]Command{} }
