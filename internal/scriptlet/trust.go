package scriptlet

// trustCommands are the programs that make the bundles of certificate authorities.
func trustCommands() map[string]Command { return map[string]Command{} }
